//! The embedded DynamoDB.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use dynoxide::Database;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::folder::DataFolder;
use crate::thread::ServerThread;

/// How long a stop waits for requests that are running.
const PATIENCE: Duration = Duration::from_secs(2);

/// A DynamoDB-compatible HTTP server on a loopback port, stopped when dropped.
///
/// It takes any credentials and any region.
#[derive(Debug)]
pub struct EmbeddedDynamo {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<ServerThread>,
    _folder: Option<DataFolder>,
}

impl EmbeddedDynamo {
    /// Starts a server that keeps its tables in the folder `data`, or in memory. Blocks for some
    /// milliseconds.
    pub fn start(data: Option<&Path>) -> anyhow::Result<Self> {
        let folder = data.map(|path| DataFolder::take(Some(path))).transpose()?;
        let database = open(folder.as_ref())?;
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).context("bind a loopback port for DynamoDB")?;
        listener.set_nonblocking(true).context("prepare the port for DynamoDB")?;
        let endpoint =
            format!("http://{}", listener.local_addr().context("read the port for DynamoDB")?);

        // Its handlers run SQLite to completion on the thread that polls them: on the gateway's
        // runtime they would hold up clients. One thread is enough, for there is one database lock
        // behind them.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime for DynamoDB")?;
        let (stop, stopped) = oneshot::channel();
        let thread = ServerThread::spawn("embedded-dynamodb", move || {
            if let Err(error) = runtime.block_on(serve(listener, database, stopped)) {
                tracing::error!("embedded DynamoDB: {error:#}");
            }
        })?;
        Ok(Self { endpoint, stop: Some(stop), thread: Some(thread), _folder: folder })
    }

    /// Where the server listens, in the form that the AWS SDK takes as its endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops the server: requests that are running are finished, idle connections are closed.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(stop) = self.stop.take() {
            // Fails only when the server has ended by itself.
            let _ = stop.send(());
        }
        self.thread.take().map_or(Ok(()), |thread| thread.join(PATIENCE * 2))
    }
}

impl Drop for EmbeddedDynamo {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("embedded DynamoDB: {error:#}");
        }
    }
}

fn open(folder: Option<&DataFolder>) -> anyhow::Result<Database> {
    let Some(folder) = folder else {
        return Database::memory().context("open a DynamoDB in memory");
    };
    let file = folder.path().join("dynamodb.sqlite");
    let name =
        file.to_str().with_context(|| format!("the path {} is not UTF-8", file.display()))?;
    Database::new(name).with_context(|| format!("open the DynamoDB file {name}"))
}

async fn serve(
    listener: TcpListener,
    database: Database,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (closing, closed) = oneshot::channel();
    let shutdown = async move {
        // A dropped sender means the same as a sent stop.
        let _ = stopped.await;
        let _ = closing.send(());
    };
    let overdue = async move {
        let _ = closed.await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        served = dynoxide::server::serve_with_shutdown(listener, database, shutdown) => {
            served.map_err(anyhow::Error::msg)
        }
        // A client that sent half a request would hold the stop for ever.
        () = overdue => Ok(()),
    }
}
