//! Telling the others, and hearing them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flywheel_store::{Member, Post};
use tokio::sync::Notify;

use super::word::Word;
use super::{Sharing, versions};
use crate::caching::Caching;

/// A database that gateways have in common.
pub struct Database {
    /// Its cache.
    pub caching: Arc<Caching>,
    /// Told when another gateway's client has changed a definition.
    pub redefined: Arc<Notify>,
}

/// A gateway among others.
pub struct Membership {
    sharing: Arc<Sharing>,
    /// By their names to clients.
    databases: HashMap<String, Database>,
}

impl Membership {
    /// One that serves these databases.
    pub fn new(sharing: Arc<Sharing>, databases: impl Iterator<Item = Database>) -> Self {
        let named = |database: Database| (database.caching.database.clone(), database);
        Self { sharing, databases: databases.map(named).collect() }
    }

    /// Takes part for ever.
    pub async fn run(self) {
        let exchange = self.sharing.exchange().clone();
        exchange.run(&self).await;
    }
}

#[async_trait]
impl Member for Membership {
    fn posted(&self, words: &[u8]) {
        let Some(word) = Word::read(words) else {
            tracing::warn!(
                "another gateway says something that this one doesn't understand; are they of different versions?"
            );
            return self.missed();
        };
        for (database, said) in &word.databases {
            // One that this gateway doesn't serve has no answers here.
            let Some(database) = self.databases.get(database) else { continue };
            if said.defines {
                database.redefined.notify_one();
            }
            database.caching.hear(said);
        }
    }

    fn missed(&self) {
        for database in self.databases.values() {
            database.caching.miss();
        }
    }

    async fn wait(&self) {
        self.sharing.more.notified().await;
    }

    fn take(&self) -> Option<Post> {
        let mut queue = self.sharing.queue();
        if queue.word.is_nothing() {
            return None;
        }
        let word = std::mem::take(&mut queue.word);
        let post = Post { words: word.write(), versions: versions::moved(&word) };
        queue.taken = Some(word);
        Some(post)
    }

    fn done(&self, is_posted: bool) {
        let mut queue = self.sharing.queue();
        let Some(taken) = queue.taken.take() else { return };
        if !is_posted {
            taken.databases.iter().for_each(|(database, said)| queue.word.add(database, said));
            self.sharing.more.notify_one();
        }
    }
}
