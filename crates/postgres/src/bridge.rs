//! An encrypted connection to a server, for a client that knows no TLS, or another one's.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::encryption::Attempt;
use crate::reach::reach;
use crate::{Encryption, Host, ServerOptions};

/// A Unix-domain socket, for this process' user alone, that leads to a server. It goes when this is
/// dropped, with its connections.
#[derive(Debug)]
pub struct Bridge {
    folder: PathBuf,
    task: AbortHandle,
}

impl Bridge {
    /// A socket that leads to this server; `None` where it is reached without TLS anyway.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn open(server: &ServerOptions) -> io::Result<Option<Self>> {
        if matches!(server.encryption, Encryption::Never) || matches!(server.host, Host::Unix(_)) {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("flywheel-{:032x}", rand::random::<u128>()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let listener = UnixListener::bind(Self::socket(&folder));
        // From here on the folder goes with it.
        let server = server.clone();
        let task = match listener {
            Ok(listener) => tokio::spawn(async move { pass(&listener, &server).await }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(error);
            }
        };
        Ok(Some(Self { folder, task: task.abort_handle() }))
    }

    fn socket(folder: &Path) -> PathBuf {
        folder.join(".s.PGSQL.5432")
    }

    /// Where it is.
    #[must_use]
    pub fn host(&self) -> Host {
        Host::Unix(Self::socket(&self.folder))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn pass(listener: &UnixListener, server: &ServerOptions) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = server.clone();
        connections.spawn(async move {
            if let Err(error) = connection(client, &server).await {
                tracing::warn!(server = %server.host, %error, "no encrypted connection");
            }
        });
    }
}

async fn connection(mut client: UnixStream, server: &ServerOptions) -> io::Result<()> {
    let mut stream = match &server.encryption {
        Encryption::Never => reach(&server.host, Attempt::Plain).await?,
        Encryption::Allowed(connector) | Encryption::Preferred(connector) => {
            match reach(&server.host, Attempt::IfOffered(connector)).await {
                Ok(stream) => stream,
                Err(_) => reach(&server.host, Attempt::Plain).await?,
            }
        }
        Encryption::Required(connector) => reach(&server.host, Attempt::Tls(connector)).await?,
    };
    tokio::io::copy_bidirectional(&mut client, &mut stream).await.map(drop)
}
