//! Rows by their keys.

use flywheel_store::{Layout, StoreError, StoreTable, now_micros};
use flywheel_types::{Key, Row};
use redis::{Cmd, FromRedisValue};

use crate::row::{self, Fields};
use crate::store::RedisStore;

/// Rows asked for at once: enough to fill packets, few enough that others' requests get in between.
pub(crate) const CHUNK: usize = 256;

impl RedisStore {
    pub(crate) async fn rows(
        &self,
        table: &StoreTable,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        if let Layout::SortedSet { score } = table.layout {
            return self.members(table, keys, score).await;
        }
        let names: Vec<String> = keys.iter().map(|key| self.keys.row(table, key)).collect();
        let rows = self.stored(table, &names).await?;
        rows.into_iter().collect()
    }

    /// The rows in the keys of these names, in the names' order, each with its own error.
    pub(crate) async fn stored(
        &self,
        table: &StoreTable,
        names: &[String],
    ) -> Result<Vec<Result<Option<Row>, StoreError>>, StoreError> {
        let now = now_micros();
        if table.layout == Layout::Json {
            let objects = self.strings(names).await?;
            let found = names.iter().zip(objects);
            return Ok(found
                .map(|(name, object)| {
                    row::decode_object(&self.keys, table, name, object.as_deref(), now)
                })
                .collect());
        }
        let fields: Vec<Fields> = self.each(names, |name| row::read_command(table, name)).await?;
        let found = names.iter().zip(&fields);
        Ok(found.map(|(name, fields)| row::decode(&self.keys, table, name, fields, now)).collect())
    }

    /// The strings in the keys of these names.
    pub(crate) async fn strings(
        &self,
        names: &[String],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.each(names, |name| Cmd::get(name)).await
    }

    /// The answers to a command for each name.
    async fn each<T: FromRedisValue>(
        &self,
        names: &[String],
        command: impl Fn(&str) -> Cmd,
    ) -> Result<Vec<T>, StoreError> {
        let mut answers = Vec::with_capacity(names.len());
        for names in names.chunks(CHUNK) {
            match names {
                [name] => answers.push(self.servers.query(name, &command(name)).await?),
                _ => {
                    let commands =
                        names.iter().map(|name| (name.as_str(), command(name))).collect();
                    answers.extend(self.servers.query_each::<T>(commands).await?);
                }
            }
        }
        Ok(answers)
    }
}
