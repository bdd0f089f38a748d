//! Changes as `write.lua` reads them, and what it answers.

mod request;

use std::sync::LazyLock;
use std::time::Duration;

use flywheel_store::{
    Applied, Change, Effect, Expect, Layout, Prepared, StoreError, StoreTable, TransactionId,
    now_micros,
};
use flywheel_types::{Key, Row};
use redis::{FromRedisValue, from_redis_value};

use self::request::{Answer, Mode, Request};
use crate::document::{Before, Document, needs_no_read};
use crate::row::{self, Fields};
use crate::script::Program;
use crate::sorted_set;
use crate::store::RedisStore;

static WRITE: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("../scripts/write.lua")));
static UNLOCK: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("../scripts/unlock.lua")));

/// How often a change of a JSON row is computed anew because somebody else has changed the string
/// meanwhile.
const ATTEMPTS: u32 = 100;

/// From this attempt on there is a pause before each, so that others get done.
const PATIENT: u32 = 5;

impl RedisStore {
    pub(crate) async fn apply(
        &self,
        table: &StoreTable,
        change: &Change,
    ) -> Result<Applied, StoreError> {
        let Some(written) = self.carry_out(Mode::Write, &[(table, change)], Answer::Row).await?
        else {
            return Ok(Applied::Refused);
        };
        let row = match (&change.effect, table.layout) {
            (Effect::Put(row), _) => Some(row.clone()),
            (_, Layout::Hash) => self.row_of(table, change, written.answer, written.now)?,
            (_, Layout::Json) => match written.document {
                Some(document) if document.before != Before::Any => document.row,
                _ => {
                    let object: Option<Vec<u8>> = read(written.answer)?;
                    let name = self.keys.row(table, &change.key);
                    row::decode_object(&self.keys, table, &name, object.as_deref(), written.now)?
                }
            },
            (_, Layout::SortedSet { score }) => {
                let answer: Option<Vec<u8>> = read(written.answer)?;
                let row = |text: Vec<u8>| sorted_set::row(table, &change.key, score, &text);
                answer.map(row).transpose()?
            }
        };
        Ok(Applied::Done(row))
    }

    pub(crate) async fn apply_all(
        &self,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.run(Mode::Write, changes).await
    }

    pub(crate) async fn apply_own(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<bool, StoreError> {
        self.run(Mode::WriteOwn(transaction), changes).await
    }

    pub(crate) async fn lock_all(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<Prepared, StoreError> {
        let hold = self.run(Mode::Prepare(transaction), changes).await?;
        Ok(if hold { Prepared::Locked } else { Prepared::Refused })
    }

    pub(crate) async fn apply_locked(
        &self,
        transaction: TransactionId,
        changes: &[(&StoreTable, Change)],
    ) -> Result<(), StoreError> {
        let unconditional = |(table, change): &(_, Change)| {
            let change = Change { expect: Expect::Any, ..change.clone() };
            (*table, change)
        };
        let changes: Vec<_> = changes.iter().map(unconditional).collect();
        self.run(Mode::Commit(transaction), &changes).await.map(drop)
    }

    pub(crate) async fn unlock(
        &self,
        transaction: TransactionId,
        keys: &[(&StoreTable, Key)],
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let locks = keys.iter().map(|(table, key)| self.keys.lock(table, key)).collect();
        let run = UNLOCK.run(locks, vec![transaction.to_string().into_bytes()]);
        self.servers.write::<i64>(&run).await.map(drop)
    }

    /// Whether all conditions held.
    async fn run(&self, mode: Mode, changes: &[(&StoreTable, Change)]) -> Result<bool, StoreError> {
        let changes: Vec<(&StoreTable, &Change)> =
            changes.iter().map(|(table, change)| (*table, change)).collect();
        Ok(changes.is_empty() || self.carry_out(mode, &changes, Answer::Nothing).await?.is_some())
    }

    /// All of the changes; `None` when a condition doesn't hold.
    async fn carry_out(
        &self,
        mode: Mode,
        changes: &[(&StoreTable, &Change)],
        answer: Answer,
    ) -> Result<Option<Written>, StoreError> {
        for attempt in 0..ATTEMPTS {
            if attempt >= PATIENT {
                tokio::time::sleep(Duration::from_millis(attempt.into())).await;
            }
            let mut before = self.before(changes, attempt == 0).await?.into_iter();
            let mut rows = self.indexed_rows(changes).await?.into_iter();
            let mut request = Request::new(mode, now_micros());
            let now = request.now;
            let mut document = None;
            for (table, change) in changes {
                request.keys.push(self.keys.lock(table, &change.key));
                document = match table.layout {
                    Layout::Hash => {
                        let Some(members) = self.members_of_hash(table, change, &mut rows, now)
                        else {
                            return Ok(None);
                        };
                        request.push_hash(self, table, change, (answer, members));
                        None
                    }
                    Layout::Json => {
                        let before = before.next().unwrap_or(Before::Any);
                        let Some(document) = self.document(table, change, before, now)? else {
                            return Ok(None);
                        };
                        let members = self.members_of_document(table, change, &document);
                        request.push_document(self, table, change, (&document, members));
                        Some(document)
                    }
                    Layout::SortedSet { score } => {
                        request.push_set(self, table, change, score)?;
                        None
                    }
                };
            }
            match self.send(request).await? {
                Sent::Done(answer) => {
                    return Ok(Some(Written { answer, document, now }));
                }
                Sent::Refused => return Ok(None),
                Sent::Outdated => {}
            }
        }
        Err(StoreError::Throttled {
            reason: format!(
                "others have changed the row {ATTEMPTS} times while it was to be changed"
            ),
        })
    }

    /// The strings of those changes that are of JSON rows. The first time without reading those
    /// that are probably as the change wants them.
    async fn before(
        &self,
        changes: &[(&StoreTable, &Change)],
        first: bool,
    ) -> Result<Vec<Before>, StoreError> {
        let documents = changes.iter().filter(|(table, _)| table.layout == Layout::Json);
        let is_read = |table: &StoreTable, change: &Change| {
            !(first && needs_no_read(change) && self.kept(table).is_empty())
        };
        let read = documents.clone().filter(|(table, change)| is_read(table, change));
        let names: Vec<String> =
            read.map(|(table, change)| self.keys.row(table, &change.key)).collect();
        let mut strings = self.strings(&names).await?.into_iter();
        let before = |(table, change): &(&StoreTable, &Change)| match change.expect {
            _ if is_read(table, change) => Before::Is(strings.next().flatten()),
            Expect::Absent => Before::Is(None),
            _ => Before::Any,
        };
        Ok(documents.map(before).collect())
    }

    async fn send(&self, request: Request) -> Result<Sent, StoreError> {
        let run = WRITE.run(request.keys, request.arguments);
        let answer: Vec<redis::Value> = self.servers.write(&run).await?;
        let mut answer = answer.into_iter();
        let mut next = || answer.next().unwrap_or(redis::Value::Nil);
        match read::<i64>(next())? {
            1 => Ok(Sent::Done(next())),
            2 => Ok(Sent::Outdated),
            3 => Err(locked(read(next())?, &read::<String>(next())?)),
            _ => Ok(Sent::Refused),
        }
    }

    fn row_of(
        &self,
        table: &StoreTable,
        change: &Change,
        answer: redis::Value,
        now: i64,
    ) -> Result<Option<Row>, StoreError> {
        let Some(fields) = read::<Option<Fields>>(answer)? else {
            return Ok(None);
        };
        let name = self.keys.row(table, &change.key);
        // The row as it was written, even if its time is over since or was before.
        let now = if matches!(change.effect, Effect::Set(_)) { i64::MIN } else { now };
        row::decode(&self.keys, table, &name, &fields, now)
    }
}

/// Changes that were carried out.
#[derive(Debug)]
struct Written {
    /// What the script returned of the last one.
    answer: redis::Value,
    /// The last one, where it is of a JSON row.
    document: Option<Document>,
    now: i64,
}

/// What the script said.
#[derive(Debug)]
enum Sent {
    /// All is written; what the last change returned.
    Done(redis::Value),
    /// A condition doesn't hold.
    Refused,
    /// A JSON row has been changed since it was read.
    Outdated,
}

/// Another's lock is in the way of the change at this place.
fn locked(position: usize, holder: &str) -> StoreError {
    holder.parse().map_or_else(
        |_| StoreError::Refused { reason: format!("a lock that Flywheel didn't make: {holder}") },
        |transaction| StoreError::Locked { position, transaction },
    )
}

fn read<T: FromRedisValue>(value: redis::Value) -> Result<T, StoreError> {
    from_redis_value(value).map_err(|error| crate::error::store_error(error.into()))
}
