//! Statements that are one operation of a store. Each gives `None` when a constant can't be read or
//! a value can't be printed natively; then the general plan answers.

use std::collections::HashSet;
use std::sync::Arc;

use flywheel_plan::{
    Home, Native, NativeDelete, NativeInsert, NativeSelect, NativeUpdate, OnConflict, Parameters,
    ReadOperation, ResolvedAccess, assign,
};
use flywheel_sql::Waiting;
use flywheel_store::{Applied, Assignment, Change, Effect, Expect};
use flywheel_types::{Key, Row, Scalar, Table, TypeInfo};
use flywheel_wire::frontend::format_at;
use flywheel_wire::{PgError, sqlstate};
use tokio::task::yield_now;

use super::fetch::resolved;
use super::holding::{Held, Wanted, absent};
use super::page::Page;
use super::ranked::{BIGINT, ranked_types};
use super::single_key::single_key;
use super::strength::Strength;
use super::{Answer, Arguments, Kind, StoreStatement};
use crate::block::Isolation;
use crate::confirming::asking;
use crate::error::{duplicate_key, too_many_rows};
use crate::failure::Outcome;
use crate::host::{Executor, Host};
use crate::marking::holding;
use flywheel_statement::long::MANY;

/// How many rows are read at first for those that others have locked, beyond those that are asked
/// for.
const FURTHER: usize = 16;

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native(
        &mut self,
        native: &Native,
        home: &Arc<Home>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let parameters = Parameters {
            types: statement.parameters(),
            formats: arguments.formats,
            values: arguments.values,
            computed: None,
        };
        let table = &home.table.table;
        let types: Vec<&TypeInfo> = match native {
            Native::Select(select) => column_types(table, &select.projection),
            // PostgreSQL prints it.
            Native::Top(_) => return Ok(None),
            Native::Count(_) => vec![&BIGINT],
            Native::Ranked(ranked) => ranked_types(table, ranked),
            Native::Insert(insert) => column_types(table, &insert.returning),
            Native::Update(update) => column_types(table, &update.returning),
            Native::Delete(delete) => column_types(table, &delete.returning),
        };
        if !self.can_print(&types, statement, arguments.result_formats) {
            return Ok(None);
        }
        match native {
            Native::Select(select) => {
                let strength = match &statement.kind {
                    Kind::Planned { parsed, .. } => Strength::of(parsed, 0),
                    _ => None,
                };
                self.native_select((select, strength), home, &parameters, arguments).await
            }
            Native::Top(_) => Ok(None),
            Native::Count(count) => self.native_count(count, home, &parameters, arguments).await,
            Native::Ranked(ranked) => {
                self.native_ranked(ranked, home, &parameters, arguments).await
            }
            Native::Insert(insert) => {
                self.native_insert(insert, home, &parameters, arguments).await
            }
            Native::Update(update) => {
                self.native_update(update, home, &parameters, arguments).await
            }
            Native::Delete(delete) => {
                self.native_delete(delete, home, &parameters, arguments).await
            }
        }
    }

    /// Whether these columns can be printed here as PostgreSQL would print them for this session.
    fn can_print(&self, types: &[&TypeInfo], statement: &StoreStatement, formats: &[i16]) -> bool {
        let fields = statement.fields().unwrap_or_default();
        fields.len() == types.len()
            && types.iter().zip(fields).enumerate().all(|(place, (ty, field))| {
                // A definition that has changed since it was read.
                if ty.oid != field.type_oid {
                    return false;
                }
                match format_at(formats, place) {
                    0 => ty.scalar.text_is_stable() || self.prints_as_canonical(ty.scalar),
                    _ => ty.scalar != Scalar::Other,
                }
            })
    }

    /// Whether the session's settings print values of the type as [`flywheel_types::text::encode`]
    /// does.
    fn prints_as_canonical(&self, scalar: Scalar) -> bool {
        let iso = self.reported().get("DateStyle").is_some_and(|style| style.starts_with("ISO"));
        let utc = self.reported().get("TimeZone").is_some_and(|zone| {
            matches!(zone.as_str(), "UTC" | "Etc/UTC" | "GMT" | "Etc/GMT" | "UCT" | "Zulu")
        });
        let unset = |name: &str| self.setting(name).is_none() && !self.is_pinned();
        match scalar {
            Scalar::Timestamptz => iso && utc,
            Scalar::Timestamp | Scalar::Date => iso,
            Scalar::Bytea => self.prints_hex() && unset("bytea_output"),
            Scalar::Float4 | Scalar::Float8 => {
                self.prints_shortest_floats() && unset("extra_float_digits")
            }
            _ => false,
        }
    }

    async fn native_select(
        &mut self,
        (select, strength): (&NativeSelect, Option<Strength>),
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let Some(page) = self.page(select.limit.as_ref(), select.offset.as_ref(), parameters)?
        else {
            return Ok(None);
        };
        if strength.is_some() {
            self.check_writable("SELECT FOR UPDATE").await?;
        }
        let rows = match strength {
            Some(strength) if self.block().is_open() => {
                self.native_locked(select, home, parameters, (page, strength)).await?
            }
            _ => self.native_rows(select, home, parameters, page).await?,
        };
        let Some(rows) = rows else { return Ok(None) };
        let mut answer = Answer::tagged(format!("SELECT {}", rows.len()));
        answer.set_rows(home, rows, &select.projection, arguments.result_formats);
        Ok(Some(answer))
    }

    /// A page of the rows that a SELECT reads.
    async fn native_rows(
        &mut self,
        select: &NativeSelect,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        page: Page,
    ) -> Outcome<Option<Vec<Row>>> {
        let most = self.stores().max_fetch_rows;
        // One more than allowed tells whether there are more.
        let wanted = page.head().min(most.saturating_add(1));
        Ok(Some(match &select.read {
            ReadOperation::Keys(access) => {
                let Some(ResolvedAccess::Keys(keys)) = resolved(access, home, *parameters).await
                else {
                    return Ok(None);
                };
                page.of(self.read_access(home, &ResolvedAccess::Keys(keys)).await?)
            }
            ReadOperation::Range { access, descending } => {
                let Some(ResolvedAccess::Ranges { index, mut ranges }) =
                    access.resolve(&home.table, parameters)
                else {
                    return Ok(None);
                };
                let rows = match ranges.pop() {
                    Some(mut range) => {
                        range.descending = *descending;
                        self.read_ranges(home, index, std::slice::from_ref(&range), wanted).await?
                    }
                    None => Vec::new(),
                };
                if rows.len() > most {
                    return Err(too_many_rows(home, most).into());
                }
                page.of(rows)
            }
            ReadOperation::Some if page.head() > most => return Ok(None),
            ReadOperation::Some => match self.read_some(home, page.head()).await? {
                Some(rows) => page.of(rows),
                None => return Ok(None),
            },
            ReadOperation::ByScore { range, descending } => {
                match range.resolve(&home.table, parameters, *descending) {
                    // Which of the block's own rows are in a range of scores is PostgreSQL's to
                    // tell.
                    Some(Some(range))
                        if !range.is_whole() && self.block().has_written(home.name()) =>
                    {
                        return Ok(None);
                    }
                    Some(Some(range)) => self.read_by_score(home, &range, page).await?,
                    Some(None) => Vec::new(),
                    None => return Ok(None),
                }
            }
        }))
    }

    /// The same, each locked by the block: read again until they are as they were read.
    async fn native_locked(
        &mut self,
        select: &NativeSelect,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        (page, strength): (Page, Strength),
    ) -> Outcome<Option<Vec<Row>>> {
        let skips = strength.skips();
        let mut further = 0;
        let mut first: Option<HashSet<Key>> = None;
        loop {
            // Behind those that are skipped come others.
            let limit = page.limit.saturating_add(further);
            let read = if skips {
                Page { offset: 0, limit: page.offset.saturating_add(limit) }
            } else {
                page
            };
            let Some(mut rows) = self.native_rows(select, home, parameters, read).await? else {
                return Ok(None);
            };
            let is_all = rows.len() < read.limit;
            if !skips {
                // What has come since the statement began isn't of its time.
                let first = first.get_or_insert_with(|| {
                    rows.iter().map(|row| home.table.table.key_of(row)).collect()
                });
                rows.retain(|row| first.contains(&home.table.table.key_of(row)));
            }
            if !self
                .lock_rows(home, &mut rows, strength, if skips { page.head() } else { usize::MAX })
                .await?
            {
                continue;
            }
            if !skips {
                return Ok(Some(rows));
            }
            if is_all || rows.len() >= page.head() {
                return Ok(Some(page.of(rows)));
            }
            further = (further * 4).max(FURTHER);
        }
    }

    async fn native_insert(
        &mut self,
        insert: &NativeInsert,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let count = insert.row_count();
        let mut rows = Vec::with_capacity(count);
        for start in (0..count).step_by(MANY) {
            if start > 0 {
                yield_now().await;
            }
            let some = start..count.min(start + MANY);
            let Some(resolved) = insert.resolve_some(some, table, parameters) else {
                return Ok(None);
            };
            rows.extend(resolved);
        }
        self.check_writable("INSERT").await?;
        if let ([row], OnConflict::Update) = (&rows[..], insert.on_conflict) {
            let Some(set) = insert.resolve_update(table, row, parameters) else {
                return Ok(None);
            };
            let written = self.insert_or_update(home, row, set).await?;
            return Ok(written.map(|row| {
                one_row_answer("INSERT 0", table, Some(&row), &insert.returning, arguments)
            }));
        }
        let inserted = match &rows[..] {
            [row] => self.insert_row(insert.on_conflict, home, row).await?,
            _ => {
                let keys: Vec<Key> = rows.iter().map(|row| table.key_of(row)).collect();
                let mut seen = HashSet::with_capacity(keys.len());
                for some in keys.chunks(MANY) {
                    if !some.iter().all(|key| seen.insert(key)) {
                        // Two rows of one key: PostgreSQL says which.
                        return Ok(None);
                    }
                    yield_now().await;
                }
                self.insert_rows(home, &rows, &keys).await?;
                true
            }
        };
        let count = if inserted { rows.len() } else { 0 };
        let mut answer = Answer::tagged(format!("INSERT 0 {count}"));
        if !insert.returning.is_empty() && inserted {
            answer.set_rows(home, rows, &insert.returning, arguments.result_formats);
        }
        Ok(Some(answer))
    }

    /// Whether the row was inserted.
    async fn insert_row(
        &mut self,
        on_conflict: OnConflict,
        home: &Arc<Home>,
        row: &Row,
    ) -> Outcome<bool> {
        let key = home.table.table.key_of(row);
        if self.block().is_open() {
            let wanted = match on_conflict {
                OnConflict::Replace => Wanted::Either(row),
                _ => Wanted::New(row),
            };
            let before = self.hold_row(home, &key, wanted).await?;
            match (&before, on_conflict) {
                (Some(_), OnConflict::Error) => return Err(duplicate_key(home, &key).into()),
                (Some(_), OnConflict::Nothing) => return Ok(false),
                _ => self.block_mut().write(home, key, before, Some(row.clone())),
            }
            return Ok(true);
        }
        let expect = if on_conflict == OnConflict::Replace { Expect::Any } else { Expect::Absent };
        match self
            .write_one(home, Change { key: key.clone(), expect, effect: Effect::Put(row.clone()) })
            .await?
        {
            Applied::Done(_) => Ok(true),
            Applied::Refused if on_conflict == OnConflict::Nothing => Ok(false),
            Applied::Refused => Err(duplicate_key(home, &key).into()),
        }
    }

    /// The row as it is after INSERT … ON CONFLICT DO UPDATE; `None` when PostgreSQL must compute
    /// it.
    async fn insert_or_update(
        &mut self,
        home: &Arc<Home>,
        row: &Row,
        set: Vec<(usize, Assignment)>,
    ) -> Outcome<Option<Row>> {
        let key = home.table.table.key_of(row);
        if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Either(row)).await?;
            let after = match &before {
                Some(before) => assign(&home.table.table, before, &set),
                None => Some(row.clone()),
            };
            if after.is_some() {
                self.block_mut().write(home, key, before, after.clone());
            }
            return Ok(after);
        }
        let update = Change { key: key.clone(), expect: Expect::Present, effect: Effect::Set(set) };
        let insert = Change { key, expect: Expect::Absent, effect: Effect::Put(row.clone()) };
        // Most rows are there. Each attempt is one write; between two the row may come or go.
        for change in [&update, &insert, &update] {
            if let Applied::Done(row) = self.write_one(home, change.clone()).await? {
                return Ok(row);
            }
        }
        // Something can't be added.
        Ok(None)
    }

    async fn insert_rows(&mut self, home: &Arc<Home>, rows: &[Row], keys: &[Key]) -> Outcome<()> {
        if self.block().is_open() {
            self.hold_absent(home, rows, keys).await?;
            for (row, key) in rows.iter().zip(keys) {
                self.block_mut().write(home, key.clone(), None, Some(row.clone()));
            }
            return Ok(());
        }
        let change = |(row, key): (&Row, &Key)| {
            (
                home.clone(),
                Change {
                    key: key.clone(),
                    expect: Expect::Absent,
                    effect: Effect::Put(row.clone()),
                },
            )
        };
        let changes: Vec<_> = rows.iter().zip(keys).map(change).collect();
        if self.write_together(changes).await? {
            return Ok(());
        }
        let before = self.read_keys(home, keys).await?;
        let taken = before.iter().position(Option::is_some).unwrap_or_default();
        Err(duplicate_key(home, &keys[taken]).into())
    }

    /// Locks keys for new rows; 23505 where one is taken.
    pub(super) async fn hold_absent(
        &mut self,
        home: &Arc<Home>,
        rows: &[Row],
        keys: &[Key],
    ) -> Outcome<()> {
        self.check_written_for(home)?;
        let taken = |key: &&Key| {
            self.block().get(home.name(), key).is_some_and(|known| known.after.is_some())
        };
        if let Some(taken) = keys.iter().find(taken) {
            return Err(duplicate_key(home, taken).into());
        }
        let changes = || keys.iter().zip(rows).map(|(key, row)| absent(key.clone(), Some(row)));
        while self.hold(home, changes().collect(), Waiting::Wait).await? != Held::Own {
            let stored = self.read_keys(home, keys).await?;
            if let Some(taken) = stored.iter().position(Option::is_some) {
                return Err(duplicate_key(home, &keys[taken]).into());
            }
            self.check_current(home, &keys[0])?;
        }
        Ok(())
    }

    async fn native_update(
        &mut self,
        update: &NativeUpdate,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let (Some(set), Some(keys)) =
            (update.resolve(table, parameters), single_key(&update.access, home, parameters))
        else {
            return Ok(None);
        };
        self.check_writable("UPDATE").await?;
        let Some(key) = keys else {
            return Ok(Some(Answer::tagged("UPDATE 0")));
        };
        let adds = set.iter().any(|(_, assignment)| matches!(assignment, Assignment::Add(_)));
        let updated = if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Existing).await?;
            let after = match &before {
                Some(row) => match assign(table, row, &set) {
                    Some(row) => Some(row),
                    None => return Ok(None),
                },
                None => None,
            };
            if after.is_some() {
                self.block_mut().write(home, key, before, after.clone());
            }
            after
        } else {
            match self
                .write_one(home, Change { key, expect: Expect::Present, effect: Effect::Set(set) })
                .await?
            {
                Applied::Done(row) => row,
                // No row, or one to which something can't be added: PostgreSQL says what comes of
                // that.
                Applied::Refused if adds => return Ok(None),
                Applied::Refused => None,
            }
        };
        Ok(Some(one_row_answer("UPDATE", table, updated.as_ref(), &update.returning, arguments)))
    }

    async fn native_delete(
        &mut self,
        delete: &NativeDelete,
        home: &Arc<Home>,
        parameters: &Parameters<'_>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let table = &home.table.table;
        let Some(keys) = single_key(&delete.access, home, parameters) else {
            return Ok(None);
        };
        self.check_writable("DELETE").await?;
        let Some(key) = keys else {
            return Ok(Some(Answer::tagged("DELETE 0")));
        };
        let deleted = if self.block().is_open() {
            let before = self.hold_row(home, &key, Wanted::Existing).await?;
            if before.is_some() {
                self.block_mut().write(home, key, before.clone(), None);
            }
            before
        } else {
            match self
                .write_one(home, Change { key, expect: Expect::Any, effect: Effect::Delete })
                .await?
            {
                Applied::Done(row) => row,
                Applied::Refused => None,
            }
        };
        Ok(Some(one_row_answer("DELETE", table, deleted.as_ref(), &delete.returning, arguments)))
    }

    /// A read-only transaction writes nothing.
    pub(super) async fn check_writable(&mut self, command: &str) -> Outcome<()> {
        if self.is_read_only().await? {
            let message = format!("cannot execute {command} in a read-only transaction");
            return Err(PgError::error(sqlstate::READ_ONLY_SQL_TRANSACTION, message).into());
        }
        Ok(())
    }
}

impl<H: Host> Executor<'_, H> {
    pub(super) async fn is_read_only(&mut self) -> Outcome<bool> {
        if !self.block().is_open() {
            // Reported by PostgreSQL 14 and later; a role's or database's default reaches the
            // client as a setting too.
            return Ok(self
                .reported()
                .get("default_transaction_read_only")
                .is_some_and(|value| value == "on"));
        }
        if self.block().may_write {
            return Ok(false);
        }
        // Who may write is about to lock rows: in the same round trip the block gets its name.
        let name = self.block().marks.open().is_none().then(|| self.block().marks.name());
        let named = name.map_or_else(String::new, |name| format!(", {}", holding(name)));
        let sql = format!(
            "SELECT pg_catalog.current_setting('transaction_read_only'), {}{named}",
            asking()
        );
        let rows = self.results_on_server(&sql).await?;
        let Some(rows) = rows.first() else { return Ok(false) };
        if let Some(name) = name {
            self.block_mut().marks.opened(name);
        }
        let read_only = rows.text(0, 0) == "on";
        self.block_mut().isolation = Some(Isolation::named(rows.text(0, 1)));
        self.block_mut().may_write = !read_only;
        Ok(read_only)
    }
}

fn column_types<'t>(table: &'t Table, projection: &[usize]) -> Vec<&'t TypeInfo> {
    projection.iter().map(|&position| &table.columns[position].ty).collect()
}

fn one_row_answer(
    verb: &str,
    table: &Table,
    row: Option<&Row>,
    returning: &[usize],
    arguments: &Arguments<'_>,
) -> Answer {
    let mut answer = Answer::tagged(format!("{verb} {}", usize::from(row.is_some())));
    if let Some(row) = row.filter(|_| !returning.is_empty()) {
        answer.push_row(table, row, returning, arguments.result_formats);
    }
    answer
}
