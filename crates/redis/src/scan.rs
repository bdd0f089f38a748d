//! All of a table's keys: for whole reads, checks and drops.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_store::{Layout, StoreError, StoreTable, text_row};
use flywheel_types::Row;

use crate::connection::Link;
use crate::key::{Name, unescape};
use crate::servers::query_at;
use crate::store::RedisStore;

/// Keys that Redis looks at in one turn: a few hundred microseconds in which it serves nobody else.
const TURN: usize = 1000;

/// The most turns for some rows: they must not take a SCAN over a server of millions of others'
/// keys.
const SOME_TURNS: usize = 100;

impl RedisStore {
    /// All of a table's rows by their names.
    pub(crate) async fn cursor<'s>(
        &'s self,
        table: &'s StoreTable,
    ) -> Result<Cursor<'s>, StoreError> {
        Cursor::new(self, table).await
    }

    pub(crate) async fn all_rows(
        &self,
        table: &StoreTable,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut cursor = Cursor::new(self, table).await?;
        let mut rows = Vec::new();
        while let Some(names) = cursor.turn().await? {
            // One more than there may be tells that there are more.
            let found =
                self.rows_under(table, &names, (limit - rows.len()).saturating_add(1)).await?;
            for row in found {
                rows.push(row?);
            }
            if rows.len() > limit {
                return Err(StoreError::TooManyRows { limit });
            }
        }
        Ok(rows)
    }

    /// Some rows, those that can't be read as their errors.
    pub(crate) async fn sample(
        &self,
        table: &StoreTable,
    ) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        Ok(self.first(table, text_row::SAMPLE_ROWS).await?.0)
    }

    /// The first `limit` rows; `None` where they aren't found among the first keys of the server.
    pub(crate) async fn some_rows(
        &self,
        table: &StoreTable,
        limit: usize,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let (rows, is_whole) = self.first(table, limit).await?;
        if !is_whole {
            return Ok(None);
        }
        rows.into_iter().collect::<Result<_, _>>().map(Some)
    }

    /// The first `limit` rows that [`SOME_TURNS`] find, those that can't be read as their errors,
    /// and whether there are `limit` or no more.
    async fn first(
        &self,
        table: &StoreTable,
        limit: usize,
    ) -> Result<(Vec<Result<Row, StoreError>>, bool), StoreError> {
        let mut cursor = Cursor::new(self, table).await?;
        let mut rows = Vec::new();
        for _ in 0..SOME_TURNS {
            let wanted = limit - rows.len();
            if wanted == 0 {
                return Ok((rows, true));
            }
            let Some(names) = cursor.turn().await? else {
                return Ok((rows, true));
            };
            for names in names.chunks(wanted) {
                let wanted = limit - rows.len();
                if wanted == 0 {
                    break;
                }
                rows.extend(self.rows_under(table, names, wanted).await?.into_iter().take(wanted));
            }
        }
        let is_whole = rows.len() >= limit;
        Ok((rows, is_whole))
    }

    pub(crate) async fn unlink_all(&self, table: &StoreTable) -> Result<(), StoreError> {
        let mut cursor = Cursor::new(self, table).await?;
        cursor.everything = true;
        while let Some(names) = cursor.turn().await? {
            if !names.is_empty() {
                let unlink = |name: &String| redis::cmd("UNLINK").arg(name).to_owned();
                let commands = names.iter().map(|name| (name.as_str(), unlink(name))).collect();
                self.servers.query_each::<i64>(commands).await?;
            }
        }
        Ok(())
    }

    /// The rows of hashes or strings, or up to `limit` of sorted sets, of these names.
    async fn rows_under(
        &self,
        table: &StoreTable,
        names: &[String],
        limit: usize,
    ) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        let Layout::SortedSet { score } = table.layout else {
            let rows = self.stored(table, names).await?;
            return Ok(rows.into_iter().filter_map(Result::transpose).collect());
        };
        let mut rows = Vec::new();
        for name in names {
            let partition = match self.keys.parse(table, name) {
                Some(Name::Partition(partition)) => unescape(partition),
                _ => None,
            };
            let left = limit - rows.len();
            rows.extend(self.members_of(table, name, partition.as_deref(), score, left).await?);
        }
        Ok(rows)
    }
}

/// A SCAN over the keys of one table, each given once although SCAN may give it twice.
pub(crate) struct Cursor<'s> {
    store: &'s RedisStore,
    table: &'s StoreTable,
    pattern: String,
    /// The servers that are left, the one that is read last.
    servers: Vec<Arc<Link>>,
    /// Where that one goes on.
    position: String,
    seen: HashSet<String>,
    /// Also the companions of rows, and what an earlier layout left.
    everything: bool,
}

impl<'s> Cursor<'s> {
    async fn new(store: &'s RedisStore, table: &'s StoreTable) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            table,
            pattern: store.keys.pattern(table),
            servers: store.servers.all().await?,
            position: "0".to_owned(),
            seen: HashSet::new(),
            everything: false,
        })
    }

    /// The next names, perhaps none of them; `None` when there are no more.
    pub(crate) async fn turn(&mut self) -> Result<Option<Vec<String>>, StoreError> {
        let Some(server) = self.servers.last() else {
            return Ok(None);
        };
        let mut command = redis::cmd("SCAN");
        command.arg(&self.position).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(TURN);
        let (position, names): (String, Vec<Vec<u8>>) = query_at(server, &command).await?;
        if position == "0" {
            self.servers.pop();
        }
        self.position = position;
        let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
        let names: Vec<String> = names.filter(|name| self.is_wanted(name)).collect();
        Ok(Some(names.into_iter().filter(|name| self.seen.insert(name.clone())).collect()))
    }

    fn is_wanted(&self, name: &str) -> bool {
        let key_columns = self.table.table.primary_key.len();
        match (self.store.keys.parse(self.table, name), self.table.layout) {
            (None, _) => false,
            (Some(_), _) if self.everything => true,
            (Some(Name::Table), Layout::SortedSet { .. }) => key_columns == 1,
            (Some(Name::Partition(_)), Layout::SortedSet { .. }) => key_columns > 1,
            (Some(Name::Partition(_)), Layout::Hash | Layout::Json) => key_columns == 1,
            (Some(Name::Row), Layout::Hash | Layout::Json) => key_columns > 1,
            _ => false,
        }
    }
}
