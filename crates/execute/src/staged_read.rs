//! Statements that change no store table, but ask for what rows in its place don't have: PostgreSQL
//! runs them as they are over rows that are put into its own, otherwise empty tables.
//!
//! What only a table has is asked of a table: where a statement names a system column or a table
//! with its schema in front of a column, or where PostgreSQL takes the statement but not the
//! rewritten text (asked when it is planned), the rows of all its places are put into PostgreSQL's
//! own tables and it runs there as it is. Substituted in one place and read from the table in
//! another, a name could bind to the wrong one. What is known to read only is rolled back; what
//! does more keeps its effects, and the rows are deleted in the same transaction.

use std::sync::Arc;

use flywheel_plan::{Fetch, Home};
use flywheel_postgres::Portal;
use flywheel_sql::Parsed;
use flywheel_types::Row;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{PgError, sqlstate};

use super::skipping::chooses;
use super::staging::{Images, Staging, by_table};
use super::{Answer, Arguments, StoreStatement};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::twin::has_rows;

/// Begins a transaction that may put rows into tables, whatever the client's other transactions
/// may.
const BEGIN: &str = "BEGIN READ WRITE";
/// From here on it may do what those may.
const AS_ALWAYS: &str = "SELECT pg_catalog.set_config('transaction_read_only', pg_catalog.current_setting('default_transaction_read_only'), true)";

impl<H: Host> Executor<'_, H> {
    pub(super) async fn read_in_tables(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        fetches: &[Fetch],
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        if chooses(parsed, fetches) && self.only_reads(&statement.text, parsed, fetches) {
            return self.read_free(statement, parsed, fetches, arguments).await;
        }
        let all: Vec<&Fetch> = fetches.iter().collect();
        let fetched = self.fetch_and_lock((statement, parsed), &all, arguments).await?;
        let tables = by_table(&all, fetched);
        let mut looked = Vec::new();
        self.run_in_tables((statement, parsed, fetches), tables, &mut looked, arguments).await
    }

    /// Runs a statement over these rows in PostgreSQL's own tables. `looked`: the tables of which
    /// is looked what rows of theirs the statement has locked, with those.
    pub(super) async fn run_in_tables(
        &mut self,
        (statement, parsed, fetches): (&StoreStatement, &Parsed, &[Fetch]),
        mut tables: Vec<(Arc<Home>, Images)>,
        looked: &mut Vec<(Arc<Home>, Vec<Row>)>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let homes: Vec<Arc<Home>> = tables.iter().map(|(home, _)| home.clone()).collect();
        let occupied = has_rows(homes.iter().map(|home| home.name()));
        tables.retain(|(_, rows)| !rows.is_empty());
        let own_block = self.status() == TransactionStatus::Idle;
        // What only reads is undone as a whole. What does more stays, and only the rows are taken
        // away again.
        let only_reads = self.only_reads(&statement.text, parsed, fetches);
        let (start, mut undo) = match (own_block, only_reads) {
            (true, _) => (Some(BEGIN), only_reads.then_some("ROLLBACK")),
            (false, true) => {
                let (start, end) = self.staging();
                (Some(start), Some(end))
            }
            (false, false) => (None, None),
        };
        let staging: Vec<Staging> =
            tables.iter().map(|(home, rows)| Staging::of(&home.table.table, rows)).collect();
        let mut portals: Vec<Portal<'_>> = start.into_iter().map(plain).collect();
        let place = portals.len();
        portals.extend(occupied.as_deref().map(plain));
        portals.extend(staging.iter().map(Staging::portal));
        portals.extend(own_block.then(|| plain(AS_ALWAYS)));
        let ran = async {
            match self.portals_on_server(&portals).await {
                // Such a transaction can't take the rows away, and has nothing else to keep.
                Ok(results)
                    if occupied.is_some()
                        && results.get(place).is_some_and(|found| !found.rows.is_empty()) =>
                {
                    self.refuse_occupied(&results[place], homes.iter().map(|home| &**home))?;
                }
                Ok(results)
                    if own_block && results.last().is_some_and(|rows| rows.text(0, 0) == "on") =>
                {
                    undo = Some("ROLLBACK")
                }
                Ok(_) => {}
                Err(Failure::Statement(error)) => return Err(told(error, &tables).into()),
                Err(failure) => return Err(failure),
            }
            let answer = self.run_rewritten(statement, &[], arguments).await?;
            for (home, rows) in looked {
                *rows = self.read_locked(home).await?;
            }
            if undo.is_none() {
                for (home, _) in &tables {
                    self.take_rows(&home.table.table).await?;
                }
            }
            // Its transaction may be its own, and is about to end.
            for home in &homes {
                self.rely_on(home)?;
            }
            Ok(answer)
        };
        let ran: Outcome<Answer> = ran.await;
        if matches!(ran, Err(Failure::Session(_))) {
            return ran;
        }
        match undo {
            Some(undo) => drop(self.on_server(undo).await?),
            None if own_block => {
                drop(self.on_server(if ran.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?)
            }
            None => {}
        }
        ran
    }

    /// Whether it is known that the statement leaves nothing behind.
    pub(super) fn only_reads(&self, text: &str, parsed: &Parsed, fetches: &[Fetch]) -> bool {
        let is_fetched = |place| fetches.iter().any(|fetch| fetch.relation == place);
        let locks_others =
            (0..parsed.relations.len()).any(|place| parsed.locks(place) && !is_fetched(place));
        if self.block().is_open() && locks_others {
            // Locks of other tables' rows are the block's, up to its end.
            return false;
        }
        self.stores().analyses.of(&parsed.unlocked(text)).reads_as_repeatable()
    }
}

fn plain(sql: &str) -> Portal<'_> {
    Portal { sql, ..Portal::default() }
}

/// The error of a session that may read a table but can't put rows into it.
fn told(error: PgError, tables: &[(Arc<Home>, Images)]) -> PgError {
    let why = match error.code() {
        "42501" => "the role has no right to insert into it",
        "25006" => "the transaction is read-only",
        _ => return error,
    };
    let Some((home, _)) = tables.first() else { return error };
    let message = format!(
        "the statement needs the rows of \"{}\", homed in {}, in the table itself, where they can't be put: {why}",
        home.name(),
        home.store.kind()
    );
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Name all columns that are selected in GROUP BY, and use no system columns.")
        .with_field(b's', home.name().schema.clone())
        .with_field(b't', home.name().name.clone())
}
