//! Where a client is: at a socket, or nowhere.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use flywheel_tls::{ClientTls, end_of_stream};

/// A client's stream.
#[derive(Debug)]
pub enum Stream {
    /// A client.
    Tcp(TcpStream),
    /// A client whose bytes are encrypted.
    Tls(ClientTls),
    /// Nobody is there: nothing ever comes, and whatever is sent is gone.
    Nowhere,
}

impl Stream {
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            // What has been decrypted already can't be seen at the socket: reading tells.
            Self::Tls(_) => Poll::Ready(Ok(())),
            Self::Nowhere => Poll::Pending,
        }
    }

    /// Whether bytes that were written wait here until they are flushed.
    pub(super) fn has_to_flush(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
            Self::Tcp(_) | Self::Nowhere => false,
        }
    }

    /// Flushes what can be sent now. An error is found by whoever reads or writes next.
    pub(super) fn flush_some(&mut self, cx: &mut Context<'_>) {
        if self.has_to_flush() {
            let _ = Pin::new(self).poll_flush(cx);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => end_of_stream(Pin::new(stream).poll_read(cx, buffer)),
            Self::Nowhere => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Nowhere => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Nowhere => Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Nowhere => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Nowhere => Poll::Ready(Ok(())),
        }
    }
}
