//! The embedded PostgreSQL.
//!
//! Embedded PostgreSQL serves one connection, so Flywheel's own questions go through the same pool
//! as the clients' statements, on the connection that the session holds anyway.

use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use pglite_oxide::{PgliteProxy, install_into};
use tempfile::TempDir;

use crate::folder::DataFolder;
use crate::thread::ServerThread;

/// PostgreSQL's name for the socket of its default port: clients find it by folder alone.
const SOCKET: &str = ".s.PGSQL.5432";

/// How long a stop waits for the connected client to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// A PostgreSQL 17 in this process, stopped when dropped.
///
/// It serves **one connection at a time**: a second one waits, unanswered, until the first is
/// closed, and so does a CancelRequest. It has no passwords and no TLS; its socket lies in a folder
/// that only this user can enter, which a loopback port couldn't promise. A result is sent when all
/// of it has been computed.
///
/// Changes survive the end of the process in whatever way it ends, but not of the machine: it
/// doesn't wait for the disk.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    sockets: TempDir,
    stopping: Arc<AtomicBool>,
    thread: Option<ServerThread>,
}

impl EmbeddedPostgres {
    /// Starts a server that keeps its data in the folder `data`, or in a temporary one.
    ///
    /// Blocks for some milliseconds, and longer when this user starts it for the first time: its
    /// files are unpacked into the user's cache folder then. PostgreSQL itself comes up with each
    /// connection, in about a third of a second the first time and a tenth after that.
    pub fn start(data: Option<&Path>) -> anyhow::Result<Self> {
        let folder = DataFolder::take(data)?;
        install_into(folder.path())
            .with_context(|| format!("prepare PostgreSQL's data in {}", folder.path().display()))?;
        // Not beside the data: a socket's path may have no more than 107 bytes.
        let sockets =
            TempDir::with_prefix("flywheel-").context("create a folder for PostgreSQL's socket")?;
        let listener = UnixListener::bind(sockets.path().join(SOCKET))
            .context("bind a socket for PostgreSQL")?;

        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = ServerThread::spawn("embedded-postgres", move || {
            let proxy = PgliteProxy::new(folder.path());
            while !stop.load(Ordering::SeqCst) {
                serve_next(&proxy, &listener);
            }
        })?;
        Ok(Self { sockets, stopping, thread: Some(thread) })
    }

    /// The URL of its database, for any client that speaks to Unix sockets.
    pub fn url(&self) -> String {
        format!("postgresql://postgres@/postgres?host={}", percent_encoded(self.sockets.path()))
    }

    /// Its socket. Clients are told the folder of it, as their host.
    pub fn socket(&self) -> PathBuf {
        self.sockets.path().join(SOCKET)
    }

    /// Stops the server. Its client should have closed the connection: the server can't, and after
    /// some seconds it is abandoned.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.stopping.store(true, Ordering::SeqCst);
        // A connection that says nothing, to end the wait for the next one. It fails only when the
        // server has ended already.
        drop(UnixStream::connect(self.socket()));
        thread.join(PATIENCE)
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("embedded PostgreSQL: {error:#}");
        }
    }
}

/// Serves the next connection to its end, whatever end that is.
///
/// pglite-oxide's own server (0.5.1, `proxy.rs`) returns from its accept loop at the first
/// connection that ends in an IO error, and with it goes the listener: a client that vanishes
/// during an answer would take the database with it. Here each connection is on its own, with a
/// PostgreSQL that replays its log where the previous one was not shut down.
fn serve_next(proxy: &PgliteProxy, listener: &UnixListener) {
    match catch_unwind(AssertUnwindSafe(|| proxy.accept_unix_once(listener))) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => {
            tracing::warn!("embedded PostgreSQL: a connection ended early: {error:#}")
        }
        Err(_) => tracing::error!("embedded PostgreSQL: a connection ended in a panic"),
    }
    // When accepting itself fails, for want of file descriptors, it does so at once again.
    std::thread::sleep(Duration::from_millis(10));
}

fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(*byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
