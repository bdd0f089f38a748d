//! Changes as `write.lua` reads them, and what it answers.

use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use flywheel_store::{
    Applied, Assignment, Change, Effect, Expect, Layout, Prepared, StoreError, StoreTable,
    TransactionId, now_micros, score_addends, text_row,
};
use flywheel_types::{Key, Row, Value};
use redis::{FromRedisValue, from_redis_value};

use crate::document::{Before, Document, needs_no_read};
use crate::expiry::Expiry;
use crate::key::companion_member;
use crate::members::Members;
use crate::row::{self, Fields};
use crate::script::Program;
use crate::sorted_set;
use crate::store::RedisStore;

static WRITE: LazyLock<Program> = LazyLock::new(|| Program::new(include_str!("scripts/write.lua")));
static UNLOCK: LazyLock<Program> =
    LazyLock::new(|| Program::new(include_str!("scripts/unlock.lua")));

/// How often a change of a JSON row is computed anew because somebody else has changed the string
/// meanwhile.
const ATTEMPTS: u32 = 100;

/// From this attempt on there is a pause before each, so that others get done.
const PATIENT: u32 = 5;

/// What a run of the script is for.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Write,
    /// Writes rows that the transaction's block may have locked.
    WriteOwn(TransactionId),
    Prepare(TransactionId),
    Commit(TransactionId),
}

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

/// The columns of a SET that become known values.
fn assigned(values: &[(usize, Assignment)]) -> impl Iterator<Item = (usize, &Value)> {
    values.iter().filter_map(|(position, assignment)| match assignment {
        Assignment::Value(value) => Some((*position, value)),
        Assignment::Add(_) => None,
    })
}

/// The columns to which something is added, with how much.
fn added(effect: &Effect) -> Vec<(usize, i64)> {
    let Effect::Set(values) = effect else {
        return Vec::new();
    };
    let added = values.iter().filter_map(|(position, assignment)| match assignment {
        Assignment::Add(amount) => Some((*position, *amount)),
        Assignment::Value(_) => None,
    });
    added.collect()
}

/// Between what a stored integer must be for the amount to be added, and the amount.
fn addition(addends: Option<RangeInclusive<i64>>, amount: i64) -> [String; 3] {
    let (least, greatest) = addends.map_or((1, 0), RangeInclusive::into_inner);
    [least, greatest, amount].map(|number| number.to_string())
}

/// What a change is to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nothing,
    Row,
}

/// The keys and arguments of one run of the script.
#[derive(Debug)]
struct Request {
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
    now: i64,
}

impl Request {
    fn new(mode: Mode, now: i64) -> Self {
        let (mode, transaction) = match mode {
            Mode::Write => ("write", String::new()),
            Mode::WriteOwn(transaction) => ("write", transaction.to_string()),
            Mode::Prepare(transaction) => ("prepare", transaction.to_string()),
            Mode::Commit(transaction) => ("commit", transaction.to_string()),
        };
        Self { keys: Vec::new(), arguments: vec![mode.into(), transaction.into_bytes()], now }
    }

    fn push_hash(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        (answer, members): (Answer, Members),
    ) {
        let columns = &table.table.columns;
        self.keys.push(store.keys.row(table, &change.key));
        self.conditions("hash", change);
        self.companion(store, table, change);
        self.indexes(store, table, members);
        self.argument(table.expires_at.map_or("", |position| columns[position].name.as_str()));
        self.argument(text_row::encode(&Value::Timestamptz(self.now)).unwrap_or_default());
        self.argument(Expiry::of(table, &change.effect, self.now).argument());

        let expected = match &change.expect {
            Expect::Unchanged(row) => row.as_slice(),
            _ => &[],
        };
        let expected =
            expected.iter().enumerate().filter(|(position, _)| !table.table.is_key(*position));
        self.list(expected.flat_map(|(position, value)| {
            let text =
                text_row::encode(value).map_or_else(|| "~".to_owned(), |text| format!("={text}"));
            [columns[position].name.clone(), text]
        }));

        let key = table.table.primary_key.iter().copied().zip(change.key.values());
        let written: Vec<(usize, &Value)> = match &change.effect {
            Effect::Put(row) => row.iter().enumerate().collect(),
            // The key's fields too, so that a row is never without a field.
            Effect::Set(values) => key.chain(assigned(values)).collect(),
            Effect::Delete => Vec::new(),
        };
        let name = |position: usize| columns[position].name.clone();
        self.list(written.iter().flat_map(|&(position, value)| {
            text_row::encode(value).map(|text| [name(position), text]).into_iter().flatten()
        }));
        self.list(
            written
                .iter()
                .filter(|(_, value)| value.is_null())
                .map(|&(position, _)| name(position)),
        );

        let added = added(&change.effect);
        let mut sums = Vec::with_capacity(added.len() * 4);
        for (position, amount) in added {
            sums.push(name(position));
            sums.extend(addition(Assignment::addends(columns[position].ty.scalar, amount), amount));
        }
        self.list(sums.into_iter());

        // A put row is known already.
        let returned = answer == Answer::Row && !matches!(change.effect, Effect::Put(_));
        let returned = if returned { columns.as_slice() } else { &[] };
        self.list(returned.iter().map(|column| column.name.clone()));
    }

    fn push_document(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        (document, members): (&Document, Members),
    ) {
        self.keys.push(store.keys.row(table, &change.key));
        self.argument("json");
        self.argument(if document.before == Before::Any { "any" } else { "same" });
        self.argument(if document.after.is_some() { "put" } else { "delete" });
        self.companion(store, table, change);
        self.indexes(store, table, members);
        self.argument(match &document.before {
            Before::Is(Some(text)) => [b"=", &text[..]].concat(),
            Before::Is(None) | Before::Any => b"~".to_vec(),
        });
        self.argument(document.after.clone().unwrap_or_default());
        self.argument(document.expiry.argument());
    }

    /// The members of the table's indexes. In a cluster there are none.
    fn indexes(&mut self, store: &RedisStore, table: &StoreTable, members: Members) {
        if store.servers.slot("").is_some() {
            return self.argument("");
        }
        self.argument("indexes");
        self.keys.push(store.keys.indexes(table));
        let kept = members.kept.iter();
        self.list(
            kept.flat_map(|index| {
                [index.name.clone(), RedisStore::definition(table, &index.columns)]
            }),
        );
        self.argument(members.guard.len().to_string());
        self.arguments.extend(members.guard);
        for entries in [members.removed, members.added] {
            self.argument(entries.len().to_string());
            for entry in entries {
                self.keys.push(entry.set);
                self.arguments.push(entry.member);
            }
        }
    }

    /// The sorted set that keeps the order of the row's partition, and its member there.
    fn companion(&mut self, store: &RedisStore, table: &StoreTable, change: &Change) {
        if change.key.sort().is_empty() {
            self.argument("");
        } else {
            self.keys.push(store.keys.partition(table, change.key.partition()));
            self.argument(companion_member(change.key.sort()));
        }
    }

    fn push_set(
        &mut self,
        store: &RedisStore,
        table: &StoreTable,
        change: &Change,
        score: usize,
    ) -> Result<(), StoreError> {
        let (key, member) = sorted_set::address(&store.keys, table, &change.key);
        self.keys.push(key);
        self.conditions("set", change);
        self.argument(member);
        let expected = match &change.expect {
            Expect::Unchanged(row) => Some(&row[score]),
            _ => None,
        };
        let written = match &change.effect {
            Effect::Put(row) => Some(&row[score]),
            Effect::Set(values) => {
                assigned(values).find(|(position, _)| *position == score).map(|(_, value)| value)
            }
            Effect::Delete => None,
        };
        for value in [expected, written] {
            let score = value.map(sorted_set::score_argument).transpose()?;
            self.argument(score.unwrap_or_default());
        }
        match added(&change.effect).first() {
            None => self.list(std::iter::empty()),
            Some(&(position, amount)) => {
                let addends = score_addends(table.table.columns[position].ty.scalar, amount);
                self.list(addition(addends, amount).into_iter());
            }
        }
        Ok(())
    }

    fn conditions(&mut self, layout: &str, change: &Change) {
        self.argument(layout);
        self.argument(match (&change.expect, &change.effect) {
            // Nothing can be set of a row that isn't there.
            (Expect::Any, Effect::Set(_)) | (Expect::Present, _) => "present",
            (Expect::Any, _) => "any",
            (Expect::Absent, _) => "absent",
            (Expect::Unchanged(_), _) => "unchanged",
        });
        self.argument(match change.effect {
            Effect::Put(_) | Effect::Set(_) => "put",
            Effect::Delete => "delete",
        });
    }

    fn argument(&mut self, argument: impl Into<Vec<u8>>) {
        self.arguments.push(argument.into());
    }

    fn list(&mut self, elements: impl Iterator<Item = String>) {
        let elements: Vec<Vec<u8>> = elements.map(String::into_bytes).collect();
        self.argument(elements.len().to_string());
        self.arguments.extend(elements);
    }
}
