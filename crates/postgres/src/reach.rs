//! A socket to a server, encrypted or not.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::Host;
use crate::encryption::Attempt;
use crate::stream::Stream;
use crate::vigilance::watch_for_loss;

/// SSLRequest (protocol-message-formats).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connection to this host, encrypted as the attempt says.
pub(crate) async fn reach(host: &Host, attempt: Attempt<'_>) -> io::Result<Stream> {
    let (connector, required) = match attempt {
        Attempt::Plain => return dial(host).await,
        Attempt::IfOffered(connector) => (connector, false),
        Attempt::Tls(connector) => (connector, true),
    };
    match dial(host).await? {
        Stream::Tcp(mut stream) => {
            if offers_tls(&mut stream).await? {
                return connector.connect(host.name(), stream).await.map(Stream::Tls);
            }
            if required {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    "the server doesn't support TLS, but `sslmode` in the url requires it",
                ));
            }
            Ok(Stream::Tcp(stream))
        }
        other => Ok(other),
    }
}

/// Asks the server. One byte is read: what follows it is TLS, or nothing.
async fn offers_tls(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(&SSL_REQUEST).await?;
    match stream.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        // An error of a server that has none to spare, or that never heard of TLS: nobody vouches
        // for its text.
        _ => Err(io::Error::other("the server doesn't answer the request for TLS")),
    }
}

async fn dial(host: &Host) -> std::io::Result<Stream> {
    match host {
        Host::Tcp(name, port) | Host::Resolved { address: name, port, .. } => {
            let stream = TcpStream::connect((name.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            // One that can't be watched serves all the same.
            let _ = watch_for_loss(&stream, None);
            Ok(Stream::Tcp(stream))
        }
        Host::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
    }
}
