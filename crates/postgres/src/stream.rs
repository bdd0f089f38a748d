//! A socket to a server, of any kind.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use flywheel_tls::{ServerTls, end_of_stream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket to a server.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// Its bytes are encrypted.
    Tls(ServerTls),
    Unix(UnixStream),
}

impl Stream {
    /// The TCP socket, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Unix(_) => None,
        }
    }

    /// Whether bytes that were written wait here until they are flushed.
    pub(crate) fn has_to_flush(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    /// Whether the peer hasn't gone. Asks the operating system itself: the runtime may not have
    /// heard of it yet. What has come is taken in.
    pub(crate) fn is_open(&mut self, incoming: &mut BytesMut) -> bool {
        let mut space = [0; 1024];
        match self {
            Self::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                loop {
                    match session.read_tls(&mut &*SockRef::from(&*socket)) {
                        Ok(0) => return false,
                        Ok(_) => {}
                        Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                    }
                    if session.process_new_packets().is_err() {
                        return false;
                    }
                    loop {
                        match session.reader().read(&mut space) {
                            Ok(0) => return false,
                            Ok(length) => incoming.extend_from_slice(&space[..length]),
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                            Err(_) => return false,
                        }
                    }
                }
            }
            Self::Tcp(_) | Self::Unix(_) => loop {
                match (&*SockRef::from(&*self)).read(&mut space) {
                    Ok(0) => return false,
                    // Something came unasked: a changed setting, or the farewell of a server that
                    // shuts down, whose end of stream follows.
                    Ok(length) => incoming.extend_from_slice(&space[..length]),
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                }
            },
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => end_of_stream(Pin::new(stream).poll_read(cx, buf)),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
