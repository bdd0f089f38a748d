//! ALTER TABLE of a table homed in a store. PostgreSQL alters its own empty table first; the
//! definition that comes of it says what that means for the rows. Where they must be looked at or
//! changed, they are put into PostgreSQL's table and it is altered anew: PostgreSQL checks them
//! against a new NOT NULL or CHECK, and gives new columns their values. What has changed is written
//! to the store before PostgreSQL commits; what is left there under the names of columns that are
//! gone is removed after it.
//!
//! ALTER TABLE is judged by what it has made, not by its words: PostgreSQL alters its empty table,
//! and the definitions before and after, column by column by `attnum`, say whether rows are
//! concerned. If so it is undone and repeated with the rows in the table.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_postgres::catalogue::{self, Form};
use flywheel_store::{Assignment, Change, Effect, Expect, StoreError, StoreTable, text_row};
use flywheel_types::{Column, Row, Scalar, Table, Value};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use super::copy_from::ROWS_AT_ONCE;
use super::fetch::by_key;
use super::write::MetLock;
use super::{Answer, LockWait, StoreStatement};
use crate::error::{conflict, store_error, too_many_rows};
use crate::failure::{Failure, Outcome};
use crate::homes::home as homed;
use crate::host::{Executor, Host};
use crate::options::TableHome;

/// What an ALTER TABLE makes of a definition.
struct Alteration {
    before: Arc<Home>,
    after: Home,
    /// For each column after it its position before it.
    origins: Vec<Option<usize>>,
    /// Columns before it under whose names nothing is to be left.
    gone: Vec<usize>,
    /// Rows must be checked, or get values.
    concerns_rows: bool,
}

impl<H: Host> Executor<'_, H> {
    pub(super) async fn alter_table(
        &mut self,
        statement: &StoreStatement,
        home: &Arc<Home>,
    ) -> Outcome<Answer> {
        self.check_not_written(home, "ALTER TABLE")?;
        let own_block = self.status() == TransactionStatus::Idle;
        let mut wait = LockWait::new();
        let altered = loop {
            if own_block {
                self.on_server("BEGIN").await?;
            }
            let altered = self.alter_both(&statement.text, home, own_block).await;
            if own_block && !matches!(altered, Err(Failure::Session(_))) {
                self.on_server(if matches!(altered, Ok(Ok(_))) { "COMMIT" } else { "ROLLBACK" })
                    .await?;
            }
            self.block_mut().redefined |= !own_block;
            self.stores().catalogue.touch();
            match altered? {
                Ok(altered) => break altered,
                Err(met) => {
                    self.wait_for_lock(&mut wait, &met.home, &met.key, met.transaction).await?
                }
            }
        };
        let (answer, alteration, rows) = altered;
        self.reload_catalogue().await?;
        self.erase(&alteration, &rows).await?;
        Ok(answer)
    }

    /// Alters the definition, and writes what becomes of the rows. PostgreSQL's answer, and the
    /// rows as they were.
    async fn alter_both(
        &mut self,
        sql: &str,
        home: &Arc<Home>,
        own_block: bool,
    ) -> Outcome<Result<(Answer, Alteration, Vec<Row>), MetLock>> {
        let table = &home.table.table;
        let before = self.form(table).await?;
        self.on_server("SAVEPOINT flywheel_altered").await?;
        let shared = self.stores().clone();
        let configured =
            shared.catalogue.configured().iter().find(|table| table.name == *home.name());
        let Some(configured) = configured else {
            return Err(
                PgError::error(sqlstate::INTERNAL_ERROR, "the table isn't configured").into()
            );
        };
        shared.steady.expect_definition();
        let mut answer = self.on_server_with_notices(sql).await?;
        shared.outlast_lost_gateways().await;
        // Whoever plans anew waits for the end of this, since PostgreSQL has locked the table.
        self.stores().catalogue.touch();
        let after = self.form(table).await?;
        let alteration = self.alteration(home, (&before, &after), configured, &mut answer).await?;
        if !alteration.concerns_rows && alteration.gone.is_empty() {
            return Ok(Ok((answer, alteration, Vec::new())));
        }
        // Their records name columns as they are now.
        self.stores().carry_out_of(home.name()).await;
        if !self.has_rows(home).await? {
            return Ok(Ok((answer, alteration, Vec::new())));
        }
        if !own_block {
            let what = "inside a transaction block, ALTER TABLE that concerns the rows";
            return Err(refused(
                home,
                what,
                "Run it outside a block, where its effect on the store can be the last step.",
            )
            .into());
        }
        if alteration.concerns_rows {
            let lock = format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", table.name.to_sql());
            self.on_server(&format!("ROLLBACK TO SAVEPOINT flywheel_altered; {lock}")).await?;
            self.stores().carry_out_of(home.name()).await;
        }
        let rows = self.all_rows(home).await?;
        if alteration.concerns_rows {
            self.check_unoccupied(std::iter::once(&**home)).await?;
            let staged = by_key(home, rows.clone());
            self.put_rows([(&**table, &staged)]).await?;
            self.on_server(sql).await?;
            self.kept_definition(configured, &mut Answer::default()).await?;
            self.print_as_stored([&*alteration.after.table.table]).await?;
            let mut altered = self.read_staged(&alteration.after).await?;
            self.take_rows(table).await?;
            let pairs: Vec<(&Row, Row)> = rows
                .iter()
                .filter_map(|row| Some((row, altered.remove(&table.key_of(row))?)))
                .collect();
            if let Some(met) = self.write_altered(&alteration, &pairs).await? {
                return Ok(Err(met));
            }
        }
        Ok(Ok((answer, alteration, rows)))
    }

    async fn form(&mut self, table: &Table) -> Outcome<Form> {
        let lease = self.server().await?;
        let form = catalogue::form(lease, table.oid).await;
        form.map_err(|error| self.server_failed(&error))
    }

    /// What the definition has become; refused when the table can't live in its store any more.
    async fn alteration(
        &mut self,
        home: &Arc<Home>,
        (before, after): (&Form, &Form),
        configured: &TableHome,
        answer: &mut Answer,
    ) -> Outcome<Alteration> {
        if after.name != *home.name() {
            let what = "another name or schema";
            return Err(refused(
                home,
                what,
                "The configuration names the table: make a new one under the new name, and copy the rows.",
            )
            .into());
        }
        if let Some(rule) = after.unchecked.first() {
            let what = format!("a constraint that isn't checked (NOT VALID: {rule})");
            return Err(
                refused(home, &what, "Leave NOT VALID out: then the rows are checked.").into()
            );
        }
        let definition = self.kept_definition(configured, answer).await?;
        let new_home = homed(configured, definition)?;
        let (old, new) = (&home.table.table, &new_home.table.table);

        let number = |form: &Form, name: &str| {
            form.columns.iter().find(|(_, each)| *each == name).map(|(&number, _)| number)
        };
        let origins: Vec<Option<usize>> = new
            .columns
            .iter()
            .map(|column| {
                let number = number(after, &column.name)?;
                old.column(before.columns.get(&number)?)
            })
            .collect();
        let unchanged_key = old.primary_key.len() == new.primary_key.len()
            && old.primary_key.iter().zip(&new.primary_key).all(|(&was, &is)| {
                let (old_column, new_column) = (&old.columns[was], &new.columns[is]);
                origins[is] == Some(was)
                    && old_column.name == new_column.name
                    && old_column.ty == new_column.ty
            });
        if !unchanged_key {
            let hint =
                "The key is where the rows lie in the store: make a new table, and copy the rows.";
            return Err(refused(
                home,
                "another primary key, or a change of its columns' names or types,",
                hint,
            )
            .into());
        }
        let kept = |was: usize| {
            (0..origins.len())
                .any(|is| origins[is] == Some(was) && new.columns[is].name == old.columns[was].name)
        };
        let gone: Vec<usize> = (0..old.columns.len()).filter(|&was| !kept(was)).collect();
        if let Some(&again) = gone.iter().find(|&&was| new.column(&old.columns[was].name).is_some())
        {
            let what = format!(
                "dropping and adding column \"{}\" in one statement",
                old.columns[again].name
            );
            return Err(refused(home, &what, "Use two statements.").into());
        }
        let needs_value = |(column, origin): (&Column, &Option<usize>)| match origin {
            None => column.not_null || column.default != flywheel_types::ColumnDefault::None,
            Some(was) => {
                let was = &old.columns[*was];
                was.name != column.name || (column.not_null && !was.not_null) || was.ty != column.ty
            }
        };
        let concerns_rows = new.columns.iter().zip(&origins).any(needs_value)
            || (new.has_checks && !old.has_checks)
            || after.rules.iter().any(|rule| !before.rules.contains(rule));
        Ok(Alteration { before: home.clone(), after: new_home, origins, gone, concerns_rows })
    }

    /// All rows of the table, few enough to be looked at. ALTER TABLE says plainly that it concerns
    /// all of them, so `allow_scan` isn't asked.
    async fn all_rows(&mut self, home: &Arc<Home>) -> Outcome<Vec<Row>> {
        let table = StoreTable { allow_scan: true, ..home.table.clone() };
        let limit = self.stores().max_fetch_rows;
        self.interruptible(home.store.scan(&table, limit)).await?.map_err(|error| match error {
            StoreError::TooManyRows { limit } => too_many_rows(home, limit).into(),
            other => store_error(&other, home).into(),
        })
    }

    /// Writes the values that rows have got, on condition that they are still as they were read.
    /// Where that fails, those that are written already lose them again: under a name that no
    /// column has they would be in the way of another attempt.
    async fn write_altered(
        &mut self,
        alteration: &Alteration,
        rows: &[(&Row, Row)],
    ) -> Outcome<Option<MetLock>> {
        let Alteration { before, after, origins, .. } = alteration;
        let (old, new) = (&before.table.table, &after.table.table);
        let mut changes: Vec<Change> = Vec::with_capacity(rows.len());
        for (was, is) in rows {
            let mut expected: Row = Vec::with_capacity(is.len());
            let mut set = Vec::new();
            for (position, column) in new.columns.iter().enumerate() {
                let origin =
                    origins[position].filter(|&origin| old.columns[origin].name == column.name);
                let stored = origin.map_or(Value::Null, |origin| was[origin].clone());
                let is_of_old_type =
                    origin.is_none_or(|origin| old.columns[origin].ty == column.ty);
                if is_of_old_type {
                    if stored != is[position] {
                        set.push((position, Assignment::Value(is[position].clone())));
                    }
                    expected.push(stored);
                } else if origin.is_some_and(|origin| {
                    is_stored_alike(&old.columns[origin], &stored, column, &is[position])
                }) {
                    expected.push(is[position].clone());
                } else {
                    let what = format!(
                        "another type of column \"{}\", under which stored values would read differently,",
                        column.name
                    );
                    let hint = "Add a column of the new type, UPDATE it from the old one, drop that, and rename.";
                    return Err(refused(before, &what, hint).into());
                }
            }
            if !set.is_empty() {
                changes.push(Change {
                    key: new.key_of(is),
                    expect: Expect::Unchanged(expected),
                    effect: Effect::Set(set),
                });
            }
        }
        let place = |change: &Change| after.store.place(&after.table, &change.key);
        changes.sort_by_key(place);
        let mut written = 0;
        let portions = changes.chunk_by(|a, b| place(a) == place(b));
        for together in portions.flat_map(|alike| alike.chunks(ROWS_AT_ONCE)) {
            let together: Vec<_> =
                together.iter().map(|change| (&after.table, change.clone())).collect();
            // Not to be interrupted: whether it was carried out must be known.
            let failed = match after.store.write_all(&together).await {
                Ok(true) => {
                    written += together.len();
                    continue;
                }
                Ok(false) => {
                    let detail = "Somebody has written to it meanwhile, or something is stored under the name of a new column.";
                    Err(conflict(before).with_detail(detail).into())
                }
                Err(StoreError::Locked { position, transaction }) if position < together.len() => {
                    Ok(Some(MetLock {
                        home: before.clone(),
                        key: together[position].1.key.clone(),
                        transaction,
                    }))
                }
                Err(error) => Err(self.write_failed(&error, before)),
            };
            for change in &changes[..written] {
                take_back(alteration, change).await;
            }
            return failed;
        }
        Ok(None)
    }

    /// Removes what is stored under the names of columns that are gone. The definition is changed
    /// for good.
    async fn erase(&mut self, alteration: &Alteration, rows: &[Row]) -> Outcome<()> {
        let home = &alteration.before;
        if alteration.gone.is_empty() {
            return Ok(());
        }
        let erased =
            alteration.gone.iter().map(|&position| (position, Assignment::Value(Value::Null)));
        let erased: Vec<_> = erased.collect();
        for row in rows {
            let change = Change {
                key: home.table.table.key_of(row),
                expect: Expect::Present,
                effect: Effect::Set(erased.clone()),
            };
            match self.write_one(home, change).await {
                Ok(_) => {}
                Err(Failure::Statement(error)) => {
                    let names: Vec<_> = alteration
                        .gone
                        .iter()
                        .map(|&at| home.table.table.columns[at].name.as_str())
                        .collect();
                    let detail = format!(
                        "The definition is changed, but rows still have values of \"{}\" in the store, which a new column of that name would show.",
                        names.join("\", \"")
                    );
                    return Err(error.with_detail(detail).into());
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// Takes a row's new values back, as far as the store can be reached and nobody has written to it
/// meanwhile.
async fn take_back(alteration: &Alteration, change: &Change) {
    let (Effect::Set(values), Expect::Unchanged(before)) = (&change.effect, &change.expect) else {
        return;
    };
    let mut written = before.clone();
    let mut back = Vec::with_capacity(values.len());
    for (position, value) in values {
        if let Assignment::Value(value) = value {
            written[*position] = value.clone();
            back.push((*position, Assignment::Value(before[*position].clone())));
        }
    }
    let change = Change {
        key: change.key.clone(),
        expect: Expect::Unchanged(written),
        effect: Effect::Set(back),
    };
    let after = &alteration.after;
    if let Err(error) = after.store.write(&after.table, &change).await {
        tracing::warn!(table = %after.name(), %error, "a row keeps a value of an ALTER TABLE that was undone");
    }
}

/// Whether what is stored for a value of one type is read as that of another.
fn is_stored_alike(old: &Column, was: &Value, new: &Column, is: &Value) -> bool {
    use Scalar::{Bpchar, Enum, Int2, Int4, Int8, Numeric, Other, Printed, Text, Time, Varchar};
    let is_printed =
        |scalar| matches!(scalar, Text | Varchar(_) | Bpchar(_) | Time | Printed(_) | Enum | Other);
    let alike = match (old.ty.scalar, new.ty.scalar) {
        (Int2 | Int4 | Int8, Int2 | Int4 | Int8) => true,
        (old, new) if is_printed(old) && is_printed(new) => true,
        (Numeric(Some((_, was))), Numeric(Some((_, is)))) => was == is,
        (Numeric(None), Numeric(_)) => true,
        (old, new) => old == new,
    };
    alike && text_row::encode(was) == text_row::encode(is)
}

fn refused(home: &Home, what: &str, hint: &str) -> PgError {
    flywheel_plan::unsupported(home, what).with_hint(hint.to_owned())
}
