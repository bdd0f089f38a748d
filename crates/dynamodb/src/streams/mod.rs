//! What anybody changes, as DynamoDB Streams tell (developer guide, "Change data capture for
//! DynamoDB Streams").
//!
//! Each shard of the table's stream is asked for new records again and again, from the moment on at
//! which the following began; who follows a shard that has ended is read from its beginning.
//! DynamoDB promises a record "in near-real time" and has nothing by which it could be proved that
//! none is on its way still: so what is told to be known is what was written before all shards were
//! asked and none had more.
//!
//! - `shard`: one shard, and those of a stream. `record`: from a record to a row.

mod record;
mod shard;

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use flywheel_store::{ChangeListener, Changed, StoreError, StoreTable};
use futures_util::{StreamExt, stream};

use crate::client::DynamoStore;
use shard::{Begin, Shard};

/// The shortest time between two requests to a shard: DynamoDB allows five a second, to all readers
/// together.
const SHORTEST: Duration = Duration::from_millis(250);
/// How often it is looked whether the table still has this stream.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a shard that has ended may be without one that follows it.
const ORPHANED: Duration = Duration::from_secs(30);
/// Shards that are asked at once.
const AT_ONCE: usize = 16;

/// A table's stream, while it is read.
struct Reader<'s> {
    store: &'s DynamoStore,
    table: &'s StoreTable,
    arn: String,
    /// The shards that are known: where each is read on, `None` for those that have ended.
    shards: HashMap<String, Option<String>>,
    /// Those that have ended, and nobody follows them yet.
    ended: Vec<(String, Instant)>,
    looked: Instant,
}

impl DynamoStore {
    pub(crate) async fn follow_table(
        &self,
        table: &StoreTable,
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        let mut reader = Reader::open(self, table).await?;
        tracing::info!(
            stream = reader.arn,
            shards = reader.shards.len(),
            "changes of a table in DynamoDB are followed"
        );
        // What was read before then may have changed unseen.
        listener.missed();
        loop {
            let begun = Instant::now();
            if reader.read_on(listener).await? {
                listener.told(begun);
            }
            tokio::time::sleep(often.max(SHORTEST)).await;
        }
    }

    /// Whether the tables have streams that can be read.
    pub(crate) async fn try_streams(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        for table in tables {
            Reader::open(self, table).await?.read_on(&Nobody).await?;
        }
        Ok(())
    }

    /// The stream of a table.
    async fn stream_of(&self, table: &StoreTable) -> Result<String, StoreError> {
        let name = self.table_name(table);
        let Some(description) = self.describe_table(&name).await? else {
            return Err(StoreError::NoSuchTable { name });
        };
        let is_on =
            description.stream_specification().is_some_and(|stream| stream.stream_enabled());
        description
            .latest_stream_arn
            .filter(|_| is_on)
            .ok_or_else(|| StoreError::Unsupported {
                what: format!("table \"{name}\" has no stream: switch DynamoDB Streams on for it (the view type KEYS_ONLY is enough)"),
            })
    }
}

impl<'s> Reader<'s> {
    async fn open(store: &'s DynamoStore, table: &'s StoreTable) -> Result<Self, StoreError> {
        let mut reader = Self {
            store,
            table,
            arn: store.stream_of(table).await?,
            shards: HashMap::new(),
            ended: Vec::new(),
            looked: Instant::now(),
        };
        let shards = reader.list().await?;
        for shard in &shards {
            // One that has ended tells nothing new, if another follows it.
            let is_read = !shard.has_ended
                || !shards.iter().any(|each| each.parent.as_ref() == Some(&shard.id));
            let at = if is_read { reader.begin(&shard.id, Begin::Latest).await? } else { None };
            reader.shards.insert(shard.id.clone(), at);
        }
        Ok(reader)
    }

    /// Reads what is new. True: so much, that nothing is left that was written before, as far as
    /// DynamoDB tells.
    async fn read_on(&mut self, listener: &dyn ChangeListener) -> Result<bool, StoreError> {
        if self.looked.elapsed() > LOOK_AGAIN {
            if self.store.stream_of(self.table).await? != self.arn {
                return Err(gone("the table has another stream now".to_owned()));
            }
            self.looked = Instant::now();
        }
        let mut is_all = true;
        let mut asked: Vec<(String, String)> =
            self.shards.iter().filter_map(|(id, at)| Some((id.clone(), at.clone()?))).collect();
        loop {
            let this = &*self;
            let answers: Vec<_> = stream::iter(asked)
                .map(async |(id, at)| (id, this.records(&at).await))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            for (id, answer) in answers {
                let answer = match answer {
                    Ok(Some(answer)) => answer,
                    Ok(None) => {
                        tracing::warn!(shard = id, "records of a stream have been missed");
                        listener.missed();
                        let at = self.begin(&id, Begin::First).await?;
                        self.shards.insert(id, at);
                        is_all = false;
                        continue;
                    }
                    // Others ask, too.
                    Err(StoreError::Throttled { reason }) => {
                        tracing::debug!(reason, "a shard of a stream can't be read now");
                        is_all = false;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                is_all &= answer.is_all;
                for record in answer.records {
                    listener.changed(0, record::changed(self.table, record));
                }
                if answer.next.is_none() {
                    self.ended.push((id.clone(), Instant::now()));
                }
                self.shards.insert(id, answer.next);
            }
            if self.ended.is_empty() {
                break;
            }
            asked = self.find_followers().await?;
            if asked.is_empty() {
                break;
            }
        }
        if self.shards.values().all(Option::is_none) {
            return Err(gone("all shards of the stream have ended".to_owned()));
        }
        Ok(is_all && self.ended.is_empty())
    }

    /// The shards that weren't known, with where they begin.
    async fn find_followers(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let shards = self.list().await?;
        self.ended.retain(|(id, _)| !shards.iter().any(|each| each.parent.as_ref() == Some(id)));
        if let Some((id, _)) = self.ended.iter().find(|(_, since)| since.elapsed() > ORPHANED) {
            return Err(gone(format!("no shard follows {id}, which has ended")));
        }
        let mut new = Vec::new();
        for shard in shards
            .into_iter()
            .filter(|shard| !self.shards.contains_key(&shard.id))
            .collect::<Vec<_>>()
        {
            let at = self.begin(&shard.id, Begin::First).await?;
            new.extend(at.clone().map(|at| (shard.id.clone(), at)));
            self.shards.insert(shard.id, at);
        }
        Ok(new)
    }

    async fn list(&self) -> Result<Vec<Shard>, StoreError> {
        shard::list(&self.store.streams, &self.arn).await
    }

    async fn begin(&self, shard: &str, at: Begin) -> Result<Option<String>, StoreError> {
        shard::begin(&self.store.streams, &self.arn, shard, at).await
    }

    async fn records(&self, at: &str) -> Result<Option<shard::Answer>, StoreError> {
        shard::records(&self.store.streams, &self.arn, at).await
    }
}

fn gone(reason: String) -> StoreError {
    StoreError::Unavailable { reason }
}

struct Nobody;

impl ChangeListener for Nobody {
    fn changed(&self, _table: usize, _changed: Changed) {}
    fn missed(&self) {}
    fn told(&self, _until: Instant) {}
}
