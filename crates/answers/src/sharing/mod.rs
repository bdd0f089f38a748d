//! What this gateway and others in front of the same databases have in common: each hears what the
//! others' clients have written, and answers that one has kept serve all.
//!
//! `word.rs` is what they tell each other, `member.rs` the telling and hearing; `answer.rs` is an
//! answer as it is kept, `versions.rs` what it depends on, and `second_level.rs` the looking for
//! one. How it travels is the exchange's (`flywheel_store::Exchange`).

mod answer;
mod member;
mod second_level;
mod versions;
mod word;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flywheel_store::Exchange;
use tokio::sync::{Notify, Semaphore};

use crate::options::Sharing as Options;

pub use member::{Database, Membership};
pub use second_level::{Elsewhere, Place};
pub use word::Said;
use word::Word;

/// How long a gateway that starts waits until others know of it, and one that ends until they know
/// what it has written.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many answers are on their way to the others at once.
const KEEPING: usize = 64;

/// This gateway's part in it.
#[derive(Debug)]
pub struct Sharing {
    options: Options,
    queue: Mutex<Queue>,
    more: Notify,
    /// For the second level: when it began, after which it was last found to be out of reach.
    began: Instant,
    failed: AtomicU64,
    keeping: Semaphore,
}

/// What the others are to be told.
#[derive(Debug, Default)]
struct Queue {
    word: Word,
    /// What they are being told.
    taken: Option<Word>,
}

impl Sharing {
    /// As one of the gateways that these options name.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            queue: Mutex::default(),
            more: Notify::new(),
            began: Instant::now(),
            failed: AtomicU64::new(0),
            keeping: Semaphore::new(KEEPING),
        })
    }

    fn exchange(&self) -> &Arc<dyn Exchange> {
        &self.options.exchange
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The others are to hear of this.
    pub fn tell(&self, database: &str, said: &Said) {
        self.queue().word.add(database, said);
        self.more.notify_one();
    }

    /// Whether there is something that the others can't know yet.
    fn is_telling(&self) -> bool {
        let queue = self.queue();
        queue.taken.is_some() || !queue.word.is_nothing()
    }

    /// Whether what all gateways' clients were told longer ago than is allowed has been heard.
    pub fn keeps_up(&self) -> bool {
        self.lag().is_some_and(|lag| lag <= self.options.max_lag)
    }

    /// How old the news from other gateways may be.
    pub fn lag(&self) -> Option<Duration> {
        self.exchange().lag()
    }

    /// How old it may be for answers to be given.
    pub const fn max_lag(&self) -> Duration {
        self.options.max_lag
    }

    /// Waits until the others know of this gateway, for a while.
    pub async fn enter(&self) {
        if !self.until(|| self.exchange().is_entered()).await {
            tracing::warn!(
                "other gateways can't be told of this one: they don't hear yet what its clients write"
            );
        }
    }

    /// Tells what there is to tell, for a while, and says goodbye.
    pub async fn leave(&self) {
        if self.until(|| !self.is_telling()).await {
            // Otherwise they had better wait for it.
            let _ = tokio::time::timeout(PATIENCE, self.exchange().leave()).await;
        }
    }

    async fn until(&self, ready: impl Fn() -> bool) -> bool {
        let is_ready = async {
            while !ready() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_ready).await.is_ok()
    }
}
