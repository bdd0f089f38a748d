//! Answers that other gateways have kept.
//!
//! Answers that gateways keep for each other are looked for when a fill begins. They hold the
//! versions that stood in Redis before they were read; a post moves those in the same script. What
//! is kept there must not be older than its versions, so it is put there only when all posts
//! counted before the read have been heard here and have not ended it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flywheel_cache::{Entry, Part, TableId, row};

use super::answer::Answer;
use super::{Sharing, versions};

/// The longest that a client waits for one: PostgreSQL may be quicker.
const WAIT: Duration = Duration::from_millis(100);
/// So long after it was out of reach it isn't asked.
const REST: Duration = Duration::from_secs(1);
/// How long it may take until what was posted before a read began is heard.
const HEARD: Duration = Duration::from_secs(1);

/// What became of looking for an answer.
#[derive(Debug)]
pub enum Elsewhere {
    /// An answer, and how old it is.
    Answer(Bytes, Duration),
    /// There is none; there is a place for one that is read from now on.
    Place(Place),
    /// It can't be told.
    Nothing,
}

/// Where an answer can be kept for the others.
#[derive(Debug)]
pub struct Place {
    name: String,
    key: Vec<u8>,
    versions: Vec<u64>,
    /// So many posts there had been before the read.
    number: u64,
}

impl Sharing {
    /// Looks for the answer of this key. `ttl` is how old it may be, `max` how long.
    pub async fn look(
        &self,
        (database, by_writes): (&str, bool),
        key: &[u8],
        parts: impl Iterator<Item = (TableId, Part)>,
        (ttl, max): (Duration, usize),
    ) -> Elsewhere {
        // What was written here must be told first: the answers there don't know of it.
        if !self.options.answers || self.is_resting() || !self.keeps_up() || self.is_telling() {
            return Elsewhere::Nothing;
        }
        let name = format!("{:016x}", row(key));
        let names = versions::read(database, parts, by_writes);
        let looked = match tokio::time::timeout(WAIT, self.exchange().look(&name, &names)).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => {
                tracing::debug!(%error, "answers of other gateways can't be looked for");
                self.rest();
                return Elsewhere::Nothing;
            }
            Err(_) => {
                self.rest();
                return Elsewhere::Nothing;
            }
        };
        if let Some((bytes, left)) = looked.kept
            && let Some(answer) = Answer::read(&bytes, max)
            && answer.key == key
            && answer.versions == looked.versions
        {
            let age = answer.age + answer.lifetime.saturating_sub(left);
            if age < ttl {
                return Elsewhere::Answer(answer.bytes, age);
            }
        }
        Elsewhere::Place(Place {
            name,
            key: key.to_vec(),
            versions: looked.versions,
            number: looked.number,
        })
    }

    /// Keeps an answer, read since its place was found, for the others. Does so by and by: nobody
    /// waits for it.
    pub fn keep(self: &Arc<Self>, place: Place, entry: Arc<Entry>, ttl: Duration) {
        let sharing = self.clone();
        tokio::spawn(async move {
            let Ok(_turn) = sharing.keeping.try_acquire() else { return };
            // A write that was posted before the read began, and not heard of yet, may have been
            // missed by a replica that was read.
            let heard = async {
                while !sharing.exchange().has_read(place.number) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            if tokio::time::timeout(HEARD, heard).await.is_err() || !entry.is_current() {
                return;
            }
            let (Some(bytes), age) = (entry.bytes(), entry.age()) else { return };
            let Some(lifetime) = ttl.checked_sub(age).filter(|left| !left.is_zero()) else {
                return;
            };
            let answer = Answer {
                key: place.key,
                versions: place.versions,
                age,
                lifetime,
                bytes: bytes.clone(),
            };
            let written = answer.write(sharing.options.compress_above);
            if let Err(error) = sharing.exchange().keep(&place.name, &written, lifetime).await {
                tracing::debug!(%error, "an answer can't be kept for other gateways");
                sharing.rest();
            }
        });
    }

    fn rest(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.failed.store(now.max(1), Ordering::Relaxed);
    }

    fn is_resting(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed > 0 && self.began.elapsed() < Duration::from_millis(failed) + REST
    }
}
