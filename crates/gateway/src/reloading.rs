//! RELOAD: a client asks the program to read its configuration anew.

use flywheel_wire::{PgError, sqlstate};
use tokio::sync::{mpsc, oneshot};

/// How many may ask at the same time; more wait.
const WAITING: usize = 16;

/// What has changed and can't without a restart, a sentence each; or why nothing has changed.
pub type Reloaded = Result<Vec<String>, PgError>;

/// Where sessions ask.
#[derive(Debug, Clone)]
pub struct Reloading {
    requests: mpsc::Sender<oneshot::Sender<Reloaded>>,
}

/// Where the program hears of it.
#[derive(Debug)]
pub struct ReloadRequests {
    requests: mpsc::Receiver<oneshot::Sender<Reloaded>>,
}

impl Reloading {
    /// Both ends.
    #[must_use]
    pub fn new() -> (Self, ReloadRequests) {
        let (asking, asked) = mpsc::channel(WAITING);
        (Self { requests: asking }, ReloadRequests { requests: asked })
    }

    pub(crate) async fn ask(&self) -> Reloaded {
        let (told, answer) = oneshot::channel();
        let nobody = || {
            PgError::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "this gateway has no configuration file that could be read anew",
            )
        };
        self.requests.send(told).await.map_err(|_| nobody())?;
        answer.await.map_err(|_| nobody())?
    }
}

impl ReloadRequests {
    /// The next one, who waits to be told. For ever where nobody can ask any more.
    pub async fn next(&mut self) -> oneshot::Sender<Reloaded> {
        match self.requests.recv().await {
            Some(asking) => asking,
            None => std::future::pending().await,
        }
    }
}
