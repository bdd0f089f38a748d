//! Telling the others, and hearing them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flywheel_store::{Member, Post};

use super::word::Word;
use super::{Sharing, versions};
use crate::shared::Shared;

/// A gateway among others.
pub(crate) struct Membership {
    sharing: Arc<Sharing>,
    /// By their names to clients.
    databases: HashMap<String, Arc<Shared>>,
}

impl Membership {
    pub(crate) fn new(sharing: Arc<Sharing>, databases: impl Iterator<Item = Arc<Shared>>) -> Self {
        let name = |shared: &Arc<Shared>| shared.caching.as_ref().map(|caching| caching.database.clone());
        Self {
            sharing,
            databases: databases.filter_map(|shared| Some((name(&shared)?, shared))).collect(),
        }
    }

    /// Takes part for ever.
    pub(crate) async fn run(self) {
        let exchange = self.sharing.exchange().clone();
        exchange.run(&self).await;
    }
}

#[async_trait]
impl Member for Membership {
    fn posted(&self, words: &[u8]) {
        let Some(word) = Word::read(words) else {
            tracing::warn!("another gateway says something that this one doesn't understand; are they of different versions?");
            return self.missed();
        };
        for (database, said) in &word.databases {
            // One that this gateway doesn't serve has no answers here.
            let Some(shared) = self.databases.get(database) else { continue };
            if said.defines {
                shared.look_for_definitions();
            }
            if let Some(caching) = &shared.caching {
                caching.hear(said);
            }
        }
    }

    fn missed(&self) {
        for shared in self.databases.values() {
            if let Some(caching) = &shared.caching {
                caching.miss();
            }
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
        let post = Post {
            words: word.write(),
            versions: versions::moved(&word),
        };
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
