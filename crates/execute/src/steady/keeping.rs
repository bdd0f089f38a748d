//! Holding the tables in PostgreSQL, and giving them up to whoever waits for them.
//!
//! The gateway's lock is relied on for three seconds at a time, by its own clock, from when it last
//! asked PostgreSQL and found it held, since PostgreSQL may drop the connection unnoticed. A
//! gateway is listed in `flywheel.gateways` before it holds anything, under a number whose advisory
//! lock its connection has: a number whose lock is free is a gateway that may still rely on what it
//! has lost. A definition through any gateway that finds one, once it has the table, waits until
//! six seconds after it was seen, by its own clock. (Not fenced: a definition made past all
//! gateways in the three seconds after PostgreSQL has ended such a connection; a request that a
//! store carries out later than three seconds after its gateway has lost it; an enum or composite
//! type that is changed past the gateways, which takes no lock of the tables that use it: that is
//! noticed within a second.)

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flywheel_plan::Home;
use flywheel_postgres::{Connection, ServerError, catalogue};
use flywheel_wire::sqlstate;

use super::{DEFINITION, EXISTS, EXPECTED, Held, IDLE, LOST, PAST, PAUSE, lock};
use crate::held_definitions::holding as holding_definitions;
use crate::stores::Stores;
use crate::transaction::definitions::is_true;

impl Stores {
    /// Whether definitions are held. Where PostgreSQL serves one connection there is one gateway.
    pub fn holds_definitions(&self) -> bool {
        self.pool().options().size > 1
    }

    /// Holds the tables while plans rely on their definitions.
    pub async fn keep_steady(self: Arc<Self>) {
        let mut is_told = false;
        // A table that is made later would be a definition that ends what is kept.
        if self.holds_definitions()
            && let Ok(mut connection) = self.pool().connect_apart(&[]).await
            && let Err(error) = make_list(&mut connection).await
        {
            tracing::debug!(%error, "the list of gateways can't be made yet");
        }
        loop {
            self.steady.wanted.notified().await;
            if let Err(error) = self.hold_steady().await {
                self.steady.fails.store(true, Ordering::Release);
                self.steady.end().await;
                self.steady.begun.send_modify(|begun| *begun += 1);
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "definitions of store tables can't be held: statements that a store answers alone ask PostgreSQL first");
                } else {
                    tracing::debug!(%error, "definitions of store tables can't be held");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn hold_steady(&self) -> Result<(), ServerError> {
        let mut connection = self.pool().connect_apart(&[]).await?;
        self.enlist(&mut connection).await?;
        let mut taken = HashSet::new();
        loop {
            let wanted = self.lockable(&taken);
            let asked = Instant::now();
            let held = hold(&mut connection, &wanted).await?;
            self.steady.begin(held, asked);
            let ended = self.until_wanted_otherwise(&mut connection).await?;
            self.steady.end().await;
            connection.query("ROLLBACK").await?;
            taken = match ended {
                Some(taken) => taken,
                None => {
                    self.steady.wanted.notified().await;
                    HashSet::new()
                }
            };
        }
    }

    /// The tables that nobody has for himself.
    fn lockable(&self, taken: &HashSet<u32>) -> Vec<Arc<Home>> {
        let known = self.catalogue.known();
        let is_free = |home: &&Arc<Home>| !taken.contains(&home.table.table.oid);
        known.homes.iter().filter(is_free).cloned().collect()
    }

    /// Returns when the tables are to be let go; those that others have for themselves, or wait
    /// for. `None`: nothing is asked of them.
    async fn until_wanted_otherwise(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<HashSet<u32>>, ServerError> {
        let mut last_used = Instant::now();
        let held = self.steady.known();
        loop {
            let hurried = self.steady.hurry.notified();
            // An error: nobody has said so in that time.
            let _ = tokio::time::timeout(self.steady.interval(), hurried).await;
            let known = self.catalogue.known();
            let oids: HashSet<u32> = known
                .homes
                .iter()
                .map(|home| home.table.table.oid)
                .chain(held.iter().copied())
                .collect();
            let asked = Instant::now();
            let taken = taken(connection, &oids).await?;
            self.steady.renew(asked);
            let is_outdated = self.steady.outdated.swap(false, Ordering::AcqRel);
            if is_outdated || taken.iter().any(|oid| held.contains(oid)) {
                // Soon the table can be had again.
                *lock(&self.steady.expected) = Some(Instant::now() + EXPECTED);
                return Ok(Some(taken));
            }
            if self.steady.lacking.swap(false, Ordering::AcqRel) {
                let lockable = self.lockable(&taken);
                if lockable.iter().any(|home| !held.contains(&home.table.table.oid)) {
                    return Ok(Some(taken));
                }
            }
            if self.steady.used.swap(false, Ordering::Relaxed) {
                last_used = Instant::now();
            } else if last_used.elapsed() >= IDLE {
                return Ok(None);
            }
        }
    }

    /// Has the gateway listed under a number of its own.
    async fn enlist(&self, connection: &mut Connection) -> Result<(), ServerError> {
        make_list(connection).await?;
        // It has ended what it relied on over an earlier connection.
        let earlier = lock(&self.steady.number).take();
        let number: i32 = rand::random();
        let delete = earlier.map_or_else(String::new, |earlier| {
            format!("DELETE FROM flywheel.gateways WHERE id = {earlier};")
        });
        let enlist = format!(
            "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtext('flywheel.gateways'), {number}); {delete} \
             INSERT INTO flywheel.gateways (id) VALUES ({number})"
        );
        connection.query(&enlist).await?;
        *lock(&self.steady.number) = Some(number);
        Ok(())
    }

    /// Takes the gateway from the list: no session is left that relies on anything.
    pub async fn leave_steady(&self) {
        let Some(number) = lock(&self.steady.number).take() else {
            return;
        };
        let delete = format!("DELETE FROM flywheel.gateways WHERE id = {number}");
        let left = match self.pool().connect_apart(&[]).await {
            Ok(mut connection) => connection.query(&delete).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            tracing::debug!(%error, "the gateway stays listed in flywheel.gateways until another takes it off");
        }
    }

    /// Returns when gateways that have lost their connections rely on nothing any more. Whoever
    /// changes a definition asks when PostgreSQL has given it the table.
    pub async fn outlast_lost_gateways(&self) {
        if !self.holds_definitions() {
            return;
        }
        let lost = match self.pool().connect_apart(&[]).await {
            Ok(mut connection) => lost(&mut connection).await,
            Err(error) => Err(error),
        };
        let left = match lost {
            Ok(lost) => self.steady.note_lost(&lost).into_iter().map(|(_, left)| left).max(),
            Err(error) => {
                tracing::debug!(%error, "lost gateways can't be asked for");
                Some(PAST)
            }
        };
        tokio::time::sleep(left.unwrap_or_default()).await;
    }

    /// Takes gateways off the list that have lost their connections long ago.
    pub async fn forget_lost_gateways(&self) -> Result<(), ServerError> {
        if !self.holds_definitions() {
            return Ok(());
        }
        let mut lease = self.pool().acquire_for_look().await?;
        let lost = lost(&mut lease).await?;
        let over = |(number, left): (i32, Duration)| left.is_zero().then(|| number.to_string());
        let over: Vec<String> = self.steady.note_lost(&lost).into_iter().filter_map(over).collect();
        if !over.is_empty() {
            let delete = format!("DELETE FROM flywheel.gateways WHERE id IN ({})", over.join(", "));
            lease.query(&delete).await?;
        }
        Ok(())
    }
}

async fn lost(connection: &mut Connection) -> Result<Vec<i32>, ServerError> {
    if !is_true(&connection.query(EXISTS).await?) {
        return Ok(Vec::new());
    }
    let rows = connection.query(LOST).await?.pop().unwrap_or_default();
    Ok((0..rows.rows.len()).filter_map(|row| rows.text(row, 0).parse().ok()).collect())
}

/// Begins a transaction that holds those of the tables that can be had at once; the digests of
/// their definitions.
async fn hold(connection: &mut Connection, homes: &[Arc<Home>]) -> Result<Held, ServerError> {
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10ms'";
    connection.query(begin).await?;
    let mut held = Vec::new();
    let mut refused = HashSet::new();
    for home in homes {
        let holding = holding_definitions(&[home]);
        let hold =
            format!("SAVEPOINT flywheel_steady; {holding} RELEASE SAVEPOINT flywheel_steady");
        match connection.query(&hold).await {
            Ok(_) => held.push(home.table.table.oid),
            // Somebody has it, it has gone, or the role may not see it.
            Err(ServerError::Postgres(error)) if !error.is_fatal() => {
                if error.code() == sqlstate::INSUFFICIENT_PRIVILEGE.0 {
                    refused.insert(home.table.table.oid);
                }
                connection.query("ROLLBACK TO SAVEPOINT flywheel_steady").await?;
            }
            Err(error) => return Err(error),
        }
    }
    if held.is_empty() {
        return Ok(Held { refused, ..Held::default() });
    }
    let rows = connection.query(&catalogue::digests(held.iter().copied())).await?;
    let rows = rows.into_iter().next_back().unwrap_or_default();
    let digest = |row| Some((rows.text(row, 0).parse().ok()?, rows.text(row, 1).to_owned()));
    Ok(Held { digests: (0..rows.rows.len()).filter_map(digest).collect(), refused })
}

/// Those of the tables that somebody has for himself, or waits for.
async fn taken(
    connection: &mut Connection,
    oids: &HashSet<u32>,
) -> Result<HashSet<u32>, ServerError> {
    if oids.is_empty() {
        connection.query("SELECT").await?;
        return Ok(HashSet::new());
    }
    let oids: Vec<String> = oids.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT DISTINCT relation FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' \
         AND relation IN ({}) AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
        oids.join(", ")
    );
    let rows = connection.query(&sql).await?.pop().unwrap_or_default();
    Ok((0..rows.rows.len()).filter_map(|row| rows.text(row, 0).parse().ok()).collect())
}

/// Makes the table of gateways where it isn't there.
async fn make_list(connection: &mut Connection) -> Result<(), ServerError> {
    if !is_true(&connection.query(EXISTS).await?) {
        connection.query(DEFINITION).await?;
    }
    Ok(())
}
