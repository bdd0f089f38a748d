//! The thread that a server runs on.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};

/// A running thread whose end can be awaited for a limited time.
#[derive(Debug)]
pub(crate) struct ServerThread {
    handle: JoinHandle<()>,
    // Never sent on: it disconnects when the thread ends, also by a panic.
    ended: Receiver<()>,
}

impl ServerThread {
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<Self> {
        let (alive, ended) = mpsc::channel();
        let handle = Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _alive = alive;
                run();
            })
            .with_context(|| format!("start the thread {name}"))?;
        Ok(Self { handle, ended })
    }

    /// Waits until the thread has ended. After `patience` it is left to itself, which is an error.
    pub(crate) fn join(self, patience: Duration) -> anyhow::Result<()> {
        let name = self.handle.thread().name().unwrap_or("server").to_owned();
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            bail!(
                "{name} still serves a client after {patience:?}; close its connections before it is stopped"
            );
        }
        self.handle.join().map_err(|_| anyhow::anyhow!("{name} panicked"))
    }
}
