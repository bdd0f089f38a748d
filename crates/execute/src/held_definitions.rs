//! What a block has written is right for the definitions for which it was made. COMMIT holds them,
//! and looks whether they are still the same, whoever changed them: nobody has checked the rows
//! against another one, and their values would lie under names of columns that are gone.
//!
//! COMMIT holds the definitions of the tables it writes to: a PREPARE that names them locks them in
//! PostgreSQL, with no right but to the schema. Plans that are kept haven't, so what a block has
//! written may be for a definition that is gone: the same round trip brings a digest of all that
//! rows are checked against, and another one than the plan's is 40001. A REPEATABLE READ block sees
//! the catalogue as it was, so another connection is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::Home;
use flywheel_postgres::{Rows, catalogue};
use flywheel_wire::quote::literal;

use crate::error::redefined;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::reliance::Lapse;

/// How long a pooled connection is waited for before another one is made.
const SHORTLY: Duration = Duration::from_millis(20);

/// What keeps the tables' definitions as they are until the end of the transaction. Whoever may
/// write to a table may not have the right to LOCK it, but to read a statement PostgreSQL locks the
/// tables in it.
pub(crate) fn holding(homes: &[&Arc<Home>]) -> String {
    format!("{}; {DEALLOCATE};", prepare(homes))
}

const DEALLOCATE: &str = "DEALLOCATE flywheel_holding";

fn prepare(homes: &[&Arc<Home>]) -> String {
    let names: Vec<String> = homes.iter().map(|home| home.name().to_sql()).collect();
    format!("PREPARE flywheel_holding AS SELECT FROM {}", names.join(", "))
}

/// The same as statements one by one, the last of which divides by zero where a definition isn't
/// the one that was planned for.
pub(crate) fn holding_or_failing(homes: &[&Arc<Home>]) -> Vec<String> {
    let pairs: Vec<String> = homes
        .iter()
        .map(|home| {
            let table = &home.table.table;
            format!("({}::pg_catalog.oid, {})", table.oid, literal(&table.digest))
        })
        .collect();
    let check = format!(
        "SELECT 1 OPERATOR(pg_catalog./) (pg_catalog.count(*) OPERATOR(pg_catalog.=) {})::pg_catalog.int4 \
         FROM ({}) d (oid, digest) WHERE (d.oid, d.digest::pg_catalog.text) IN ({})",
        homes.len(),
        asking(homes),
        pairs.join(", ")
    );
    vec![prepare(homes), DEALLOCATE.to_owned(), check]
}

/// Whether the transaction sees the catalogue as it was when it began.
const IS_FROZEN: &str = "SELECT pg_catalog.current_setting('transaction_isolation') IN ('repeatable read', 'serializable')";

/// The query whose answer [`Executor::check_definitions`] looks at.
pub(super) fn asking(homes: &[&Arc<Home>]) -> String {
    catalogue::digests(homes.iter().map(|home| home.table.table.oid))
}

impl<H: Host> Executor<'_, H> {
    /// Refuses to lay rows over those of the store that the block has written for another
    /// definition than this: their columns aren't the same.
    pub(crate) fn check_written_for(&self, home: &Home) -> Outcome<()> {
        let written = self.block().of_table(home.name()).next();
        match written
            .filter(|(_, written)| written.home.table.table.digest != home.table.table.digest)
        {
            Some(_) => Err(refused(home)),
            None => Ok(()),
        }
    }

    /// Holds the tables' definitions until the end of the transaction, where they are those that a
    /// plan was made for.
    pub(crate) async fn hold_definitions(&mut self, homes: &[&Arc<Home>]) -> Outcome<()> {
        let sql = format!("{} {}; {IS_FROZEN}", holding(homes), asking(homes));
        let asked = self.results_on_server(&sql).await?;
        let digests = asked.len().checked_sub(2).and_then(|place| asked.get(place));
        let is_frozen = asked.last().is_some_and(|rows| rows.text(0, 0) == "t");
        let checked = self.check_definitions(homes, digests, is_frozen).await;
        if matches!(checked, Err(Failure::Statement(_))) {
            self.lapse_as(Lapse::Changed);
        }
        checked
    }

    /// Refuses a COMMIT of rows that were made for other definitions than these. `is_frozen`: the
    /// block's snapshot shows them as they were when it began.
    pub(super) async fn check_definitions(
        &mut self,
        homes: &[&Arc<Home>],
        digests: Option<&Rows>,
        is_frozen: bool,
    ) -> Outcome<()> {
        let elsewhere = if is_frozen && self.stores().pool().options().size > 1 {
            self.not_redefined(homes).await?
        } else {
            Vec::new()
        };
        let is_elsewhere =
            |home: &&&Arc<Home>| elsewhere.iter().any(|each| each.name() == home.name());
        let here: Vec<&Arc<Home>> =
            homes.iter().filter(|home| !is_elsewhere(home)).copied().collect();
        if let Some(home) = digests.and_then(|digests| changed(&here, digests)) {
            // Whoever tries again plans anew.
            self.redefined_mut().is_changed = true;
            return Err(refused(home));
        }
        if elsewhere.is_empty() {
            return Ok(());
        }
        let pool = self.stores().pool().clone();
        let asked = asking(&elsewhere);
        let told = |error: flywheel_postgres::ServerError| Failure::Statement(error.to_pg());
        let (mut lease, mut apart);
        let connection =
            if let Ok(Ok(pooled)) = tokio::time::timeout(SHORTLY, pool.acquire_plain()).await {
                lease = pooled;
                &mut *lease
            } else {
                apart = pool.connect_apart(&[]).await.map_err(told)?;
                &mut apart
            };
        let digests = connection.query(&asked).await.map_err(told)?;
        match digests.last().and_then(|digests| changed(&elsewhere, digests)) {
            None => Ok(()),
            Some(home) => {
                self.stores().reload(connection).await.map_err(told)?;
                Err(refused(home))
            }
        }
    }

    /// The tables whose definitions the block hasn't changed. What it has made of a definition is
    /// seen by itself only, and it has locked the table.
    async fn not_redefined<'h>(&mut self, homes: &[&'h Arc<Home>]) -> Outcome<Vec<&'h Arc<Home>>> {
        if !self.block().redefined {
            return Ok(homes.to_vec());
        }
        let sql = "SELECT relation FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND mode = 'AccessExclusiveLock'";
        let locked = self.results_on_server(sql).await?.pop().unwrap_or_default();
        let locked: Vec<u32> =
            (0..locked.rows.len()).filter_map(|row| locked.text(row, 0).parse().ok()).collect();
        let is_open = |home: &&&Arc<Home>| !locked.contains(&home.table.table.oid);
        Ok(homes.iter().filter(is_open).copied().collect())
    }
}

/// A table whose definition isn't the one that was planned for.
fn changed<'h>(homes: &[&'h Arc<Home>], digests: &Rows) -> Option<&'h Arc<Home>> {
    let now: HashMap<u32, &str> = (0..digests.rows.len())
        .filter_map(|row| Some((digests.text(row, 0).parse().ok()?, digests.text(row, 1))))
        .collect();
    let is_other = |home: &&&Arc<Home>| {
        let table = &home.table.table;
        now.get(&table.oid) != Some(&table.digest.as_str())
    };
    homes.iter().find(is_other).copied()
}

fn refused(home: &Home) -> Failure {
    redefined(home).into()
}
