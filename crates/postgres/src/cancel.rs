//! CancelRequest, on a connection of its own.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::encryption::Attempt;
use crate::reach::reach;
use crate::{Encryption, Host};

/// What names a server's session in a CancelRequest.
#[derive(Debug, Clone)]
pub struct CancelKey {
    /// Where the server is.
    pub host: Host,
    /// Whether its session is encrypted: so is the request.
    pub encryption: Encryption,
    /// The server process.
    pub process_id: i32,
    /// Its secret.
    pub secret_key: i32,
}

/// Asks the server to cancel the statement that runs in a session. Whether there was one isn't
/// told.
///
/// # Errors
/// The server can't be reached.
pub async fn cancel(key: &CancelKey) -> std::io::Result<()> {
    let request = async {
        let attempt = key.encryption.connector().map_or(Attempt::Plain, |each| Attempt::Tls(each));
        let mut stream = reach(&key.host, attempt).await?;
        let mut packet = BytesMut::new();
        frontend::cancel_request(key.process_id, key.secret_key, &mut packet);
        stream.write_all(&packet).await?;
        stream.flush().await?;
        // The server closes when it has sent the signal: only then a following statement is safe
        // from it.
        let _ = stream.read(&mut [0]).await?;
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(5), request)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}
