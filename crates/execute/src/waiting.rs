//! Waiting for blocks. Each holds an advisory lock in PostgreSQL in the name that its rows' locks
//! have in the stores, which PostgreSQL keeps others waiting for: as long as `lock_timeout` allows,
//! in turn, and not in a circle (40P01).

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_sql::Waiting;
use flywheel_store::{Change, TransactionId};
use flywheel_types::{Key, Row, ordered};

use super::LockWait;
use super::holding::{Held, as_read};
use crate::error::store_error;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// Tells the lock for which those stand in line who want one row from that of those who share it.
const QUEUE: u32 = u32::MAX - 1;

impl<H: Host> Executor<'_, H> {
    /// Waits until the subtransaction that has locked a row is over, or PostgreSQL's part of it is.
    /// Those who wait for one row do so one behind the other: a block keeps its place, so that the
    /// next comes when it is over itself.
    pub(super) async fn wait_for_holder(
        &mut self,
        home: &Home,
        key: &Key,
        holder: TransactionId,
    ) -> Outcome<()> {
        let place = TransactionId::of_block(hash(home, key).into(), QUEUE).advisory_key();
        let holder = holder.advisory_key();
        let sql = format!(
            "SELECT pg_catalog.pg_advisory_xact_lock({place}), \
             pg_catalog.pg_advisory_lock_shared({holder}), pg_catalog.pg_advisory_unlock_shared({holder})"
        );
        self.results_on_server(&sql).await.map(drop)
    }

    /// Whether a lock is that of a block which is open, by others than this one. What one that is
    /// over has left behind is seen to.
    pub(super) async fn meets_open(
        &mut self,
        wait: &mut LockWait,
        home: &Home,
        key: &Key,
        holder: TransactionId,
    ) -> Outcome<bool> {
        let mode = if holder.is_shared() { "" } else { "_shared" };
        let advisory = holder.advisory_key();
        let sql = format!(
            "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock{mode}({advisory}) \
             THEN pg_catalog.pg_advisory_unlock{mode}({advisory}) ELSE false END"
        );
        let free = self.results_on_server(&sql).await?;
        if free.first().is_none_or(|rows| rows.text(0, 0) != "t") {
            return Ok(true);
        }
        self.wait_for_lock(wait, home, key, holder).await?;
        Ok(false)
    }

    /// Waits until no other block shares the row's lock, and takes it away.
    pub(super) async fn take_shared_lock(
        &mut self,
        home: &Home,
        key: &Key,
        holder: TransactionId,
    ) -> Outcome<()> {
        let advisory = holder.advisory_key();
        self.results_on_server(&format!("SELECT pg_catalog.pg_advisory_lock({advisory})")).await?;
        let removed = home.store.rollback_prepared(holder, &[(&home.table, key.clone())]).await;
        self.results_on_server(&format!("SELECT pg_catalog.pg_advisory_unlock({advisory})"))
            .await?;
        removed.map_err(|error| store_error(&error, home).into())
    }

    /// Locks rows together with other blocks: each holds the advisory lock of the row's name in
    /// shared mode. The lock in the store stays until somebody wants the row alone.
    pub(super) async fn share_rows(
        &mut self,
        home: &Arc<Home>,
        keys: &[Key],
        rows: &[Row],
        waiting: Waiting,
    ) -> Outcome<Held> {
        for (key, row) in keys.iter().zip(rows) {
            if self.block().get(home.name(), key).is_some() {
                continue;
            }
            let name = TransactionId::of_shared_row(hash(home, key));
            let advisory = name.advisory_key();
            if waiting == Waiting::Wait {
                let sql = format!("SELECT pg_catalog.pg_advisory_xact_lock_shared({advisory})");
                self.results_on_server(&sql).await?;
            } else {
                let sql = format!("SELECT pg_catalog.pg_try_advisory_xact_lock_shared({advisory})");
                let got = self.results_on_server(&sql).await?;
                if got.first().is_none_or(|rows| rows.text(0, 0) != "t") {
                    return Self::busy(home, waiting).map_err(Failure::Statement);
                }
            }
            let changes: [Change; 1] = [as_read(key.clone(), row)];
            let held = self.hold_together(home, name, &changes, waiting).await?;
            if held != Held::Own {
                return Ok(held);
            }
        }
        Ok(Held::Own)
    }
}

/// The row's name among those of all tables of the database, the same in every gateway: FNV-1a.
fn hash(home: &Home, key: &Key) -> u64 {
    let oid = home.table.table.oid.to_be_bytes();
    let bytes = oid.into_iter().chain(ordered::encode(key.values()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
