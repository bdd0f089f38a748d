//! Rows of one partition in the order of their sort key: names from the companion, then the rows.

use std::sync::LazyLock;

use flywheel_store::{KeyRange, Layout, StoreError, StoreTable};
use flywheel_types::Row;

use crate::key::row_name_end;
use crate::read::CHUNK;
use crate::script::Program;
use crate::store::RedisStore;

static FORGET: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("scripts/forget.lua")));

impl RedisStore {
    pub(crate) async fn rows_between(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if table.table.primary_key.len() < 2 {
            return Err(StoreError::Unsupported {
                what: format!(
                    "table \"{}\" has a key of one column, which has no ranges",
                    table.table.name
                ),
            });
        }
        let Some((first, end)) = range.sort_bytes() else {
            return Ok(Vec::new());
        };
        if let Layout::SortedSet { score } = table.layout {
            return self
                .members_between(
                    table,
                    &range.partition,
                    score,
                    (first, end),
                    range.descending,
                    limit,
                )
                .await;
        }

        let companion = self.keys.partition(table, &range.partition);
        let mut low = if first.is_empty() { b"-".to_vec() } else { [b"[", &first[..]].concat() };
        let mut high = end.map_or_else(|| b"+".to_vec(), |end| [b"(", &end[..]].concat());
        let mut rows = Vec::new();
        // Members whose rows are gone don't count, so that it may take more than one turn.
        while rows.len() < limit {
            let ask = (limit - rows.len()).min(CHUNK);
            let mut command =
                redis::cmd(if range.descending { "ZREVRANGEBYLEX" } else { "ZRANGEBYLEX" });
            command.arg(&companion);
            if range.descending {
                command.arg(&high).arg(&low);
            } else {
                command.arg(&low).arg(&high);
            }
            let members: Vec<Vec<u8>> =
                self.servers.query(&companion, command.arg("LIMIT").arg(0).arg(ask)).await?;
            let Some(last) = members.last() else { break };
            let past_last = [b"(", &last[..]].concat();
            if range.descending {
                high = past_last;
            } else {
                low = past_last;
            }
            self.rows_of_members(table, &companion, &members, &mut rows).await?;
            if members.len() < ask {
                break;
            }
        }
        Ok(rows)
    }

    async fn rows_of_members(
        &self,
        table: &StoreTable,
        companion: &str,
        members: &[Vec<u8>],
        rows: &mut Vec<Row>,
    ) -> Result<(), StoreError> {
        let names = members
            .iter()
            .map(|member| row_name_end(member).map(|end| format!("{companion}{end}")))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| StoreError::Refused {
                reason: format!(
                    "the sorted set {companion} has a member that Flywheel didn't write"
                ),
            })?;
        let (mut keys, mut gone) = (vec![companion.to_owned()], Vec::new());
        let found = self.stored(table, &names).await?;
        for ((row, name), member) in found.into_iter().zip(&names).zip(members) {
            match row? {
                Some(row) => rows.push(row),
                None => {
                    keys.push(name.clone());
                    gone.push(member.clone());
                }
            }
        }
        if !gone.is_empty() {
            // Only tidying: the rows are read, and the next reader tries again.
            if let Err(error) = self.servers.write::<i64>(&FORGET.run(keys, gone)).await {
                tracing::debug!(%error, companion, "members of rows that are gone stay for now");
            }
        }
        Ok(())
    }
}
