//! The store.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flywheel_store::{
    Applied, Change, ChangeListener, Defines, Feed, Index, Indexes, KeyRange, Layout, Operation,
    Prepared, ScoreRange, Scores, Store, StoreError, StoreTable, Telling, TransactionId, TwoPhase,
    Writes, accepts_layout, text_row,
};
use flywheel_types::{Key, Row};

use crate::index::Kept;
use crate::key::Keyspace;
use crate::options::{Certificates, RedisOptions, Topology};
use crate::servers::{Servers, query_at};
use crate::sorted_set::{address, by_score_command};

/// Redis (or Valkey): one server, the primary that sentinels know, or a cluster.
#[derive(Debug, Clone)]
pub struct RedisStore {
    pub(crate) servers: Arc<Servers>,
    pub(crate) keys: Keyspace,
    pub(crate) kept: Arc<Mutex<Kept>>,
    pub(crate) timeout: Duration,
}

impl RedisStore {
    /// A store that connects when it is first asked something.
    ///
    /// `rediss://` trusts what the operating system trusts unless the options say otherwise, and
    /// takes ring as rustls' provider unless the process has one.
    ///
    /// # Errors
    /// When a URL isn't one, or a certificate can't be read.
    pub fn new(options: &RedisOptions) -> Result<Self, StoreError> {
        Ok(Self {
            servers: Arc::new(Servers::new(options)?),
            keys: Keyspace::new(&options.key_prefix),
            kept: Arc::default(),
            timeout: options.timeout,
        })
    }

    /// A store on the one server at `url`.
    ///
    /// # Errors
    /// When the URL isn't one.
    pub fn connect_lazy(
        url: &str,
        key_prefix: &str,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        Self::new(&RedisOptions {
            topology: Topology::One(url.to_owned()),
            certificates: Certificates::default(),
            key_prefix: key_prefix.to_owned(),
            timeout,
        })
    }
}

#[async_trait]
impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "Redis"
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        accepts_layout(table)?;
        self.check_indexes(table)
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        let several = table.table.primary_key.len() > 1;
        let head = self.keys.table(table);
        let head = head.trim_end_matches('}');
        let (row, partition) = if several {
            (format!("{head}:…}}:…"), format!("{head}:…}}"))
        } else {
            (format!("{head}:…}}"), format!("{head}}}"))
        };
        if matches!(table.layout, Layout::SortedSet { .. }) {
            return match operation {
                Operation::Get => format!("ZSCORE {partition}"),
                Operation::GetMany => format!("ZSCORE {partition}, pipelined"),
                Operation::Range => format!("ZRANGE {partition} WITHSCORES, whole"),
                Operation::IndexRange(index) => format!(
                    "ZRANGEBYLEX {}, in a script, then each row",
                    self.keys.indexes(table) + &table.indexes[index].name + ":…"
                ),
                Operation::ByScore { descending, whole } => {
                    format!("{} {partition} WITHSCORES", by_score_command(descending, whole))
                }
                Operation::CountByScore { whole: true } => format!("ZCARD {partition}"),
                Operation::CountByScore { whole: false } => format!("ZCOUNT {partition}"),
                Operation::Rank => format!("ZSCORE and ZCOUNT {partition}, in a script"),
                Operation::Scan | Operation::Some if several => {
                    format!("SCAN MATCH {partition}, ZRANGE of each")
                }
                Operation::Scan | Operation::Some => format!("ZRANGE {partition} WITHSCORES"),
                Operation::Put | Operation::Update => format!("ZADD {partition}, in a script"),
                Operation::Delete => format!("ZREM {partition}, in a script"),
                Operation::WriteAll => "one script".to_owned(),
            };
        }
        if table.layout == Layout::Json {
            return match operation {
                Operation::Get => format!("GET {row}"),
                Operation::GetMany => format!("GET {row}, pipelined"),
                Operation::Range => format!("ZRANGEBYLEX {partition}, GET {row}"),
                Operation::IndexRange(index) => format!(
                    "ZRANGEBYLEX {}, in a script, then each row",
                    self.keys.indexes(table) + &table.indexes[index].name + ":…"
                ),
                Operation::ByScore { .. } | Operation::CountByScore { .. } | Operation::Rank => {
                    format!("none: {partition} isn't a sorted set")
                }
                Operation::Scan | Operation::Some => format!("SCAN MATCH {row}, GET of each"),
                Operation::Put => format!("SET {row}, in a script"),
                Operation::Update => format!("GET and SET {row}, in a script"),
                Operation::Delete => format!("DEL {row}, in a script"),
                Operation::WriteAll => "one script".to_owned(),
            };
        }
        match operation {
            Operation::Get => format!("HMGET {row}"),
            Operation::GetMany => format!("HMGET {row}, pipelined"),
            Operation::Range => format!("ZRANGEBYLEX {partition}, HMGET {row}"),
            Operation::IndexRange(index) => format!(
                "ZRANGEBYLEX {}, in a script, then each row",
                self.keys.indexes(table) + &table.indexes[index].name + ":…"
            ),
            Operation::ByScore { .. } | Operation::CountByScore { .. } | Operation::Rank => {
                format!("none: {partition} isn't a sorted set")
            }
            Operation::Scan | Operation::Some => format!("SCAN MATCH {row}, HMGET of each"),
            Operation::Put | Operation::Update => format!("HSET {row}, in a script"),
            Operation::Delete => format!("DEL {row}, in a script"),
            Operation::WriteAll => "one script".to_owned(),
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        for server in self.servers.all().await? {
            query_at::<()>(&server, &redis::cmd("PING")).await?;
        }
        Ok(())
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        Ok(text_row::mismatches(table, &self.sample(table).await?))
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.rows(table, keys).await
    }

    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_between(table, range, limit).await
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        table.check_scan()?;
        self.all_rows(table, limit).await
    }

    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError> {
        self.some_rows(table, limit).await
    }

    fn indexes(&self) -> Option<&dyn Indexes> {
        Some(self)
    }

    fn scores(&self) -> Option<&dyn Scores> {
        Some(self)
    }

    fn writes(&self) -> Option<&dyn Writes> {
        Some(self)
    }

    fn two_phase(&self) -> Option<&dyn TwoPhase> {
        Some(self)
    }

    fn defines(&self) -> Option<&dyn Defines> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        Some(self)
    }
}

#[async_trait]
impl Indexes for RedisStore {
    async fn index_range(
        &self,
        table: &StoreTable,
        index: &Index,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_by_index(table, index, range, limit).await
    }

    async fn find_indexes(
        &self,
        table: &StoreTable,
        _listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        self.keep_indexes(table).await?;
        Ok(table.indexes.clone())
    }
}

#[async_trait]
impl Scores for RedisStore {
    async fn by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.members_by_score(table, range, offset, limit).await
    }

    async fn count_by_score(
        &self,
        table: &StoreTable,
        range: &ScoreRange,
    ) -> Result<u64, StoreError> {
        self.count_members(table, range).await
    }

    async fn rank(
        &self,
        table: &StoreTable,
        key: &Key,
        descending: bool,
    ) -> Result<Option<(Row, u64)>, StoreError> {
        self.member_with_rank(table, key, descending).await
    }
}

#[async_trait]
impl Writes for RedisStore {
    async fn write(&self, table: &StoreTable, change: &Change) -> Result<Applied, StoreError> {
        self.apply(table, change).await
    }

    fn place(&self, table: &StoreTable, key: &Key) -> Option<u16> {
        let name = match table.layout {
            Layout::SortedSet { .. } => address(&self.keys, table, key).0,
            Layout::Hash | Layout::Json => self.keys.row(table, key),
        };
        self.servers.slot(&name)
    }

    async fn write_all(&self, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        self.apply_all(changes).await
    }
}

#[async_trait]
impl TwoPhase for RedisStore {
    async fn prepare(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        self.lock_all(transaction, changes).await
    }

    async fn commit_prepared(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        self.apply_locked(transaction, changes).await
    }

    async fn rollback_prepared(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        self.unlock(transaction, keys).await
    }

    async fn write_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.apply_own(transaction, changes).await
    }
}

#[async_trait]
impl Defines for RedisStore {
    async fn create_table(&self, _table: &StoreTable) -> Result<(), StoreError> {
        Ok(())
    }

    async fn drop_table(&self, table: &StoreTable) -> Result<(), StoreError> {
        self.unlink_all(table).await
    }
}

#[async_trait]
impl Feed for RedisStore {
    fn telling(&self) -> Telling {
        Telling::Together
    }

    async fn follow(
        &self,
        tables: &[&StoreTable],
        often: Duration,
        listener: &dyn ChangeListener,
    ) -> Result<Infallible, StoreError> {
        self.follow_tables(tables, often, listener).await
    }

    async fn check_follow(&self, tables: &[&StoreTable]) -> Result<(), StoreError> {
        self.try_tracking(tables).await
    }
}
