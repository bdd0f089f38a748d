//! What a block has written is right for the definitions for which it was made. COMMIT holds them, and looks whether they are still the same, whoever changed
//! them: nobody has checked the rows against another one, and their values would lie under names of columns that are gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flywheel_plan::Home;
use flywheel_postgres::{Rows, catalogue};

use super::{Failure, Outcome, Session};
use crate::error::conflict;

/// How long a pooled connection is waited for before another one is made.
const SHORTLY: Duration = Duration::from_millis(20);

/// What keeps the tables' definitions as they are until the end of the transaction. Whoever may write to a table may not have the right to LOCK it, but to read a
/// statement PostgreSQL locks the tables in it.
pub(super) fn holding(homes: &[&Arc<Home>]) -> String {
    let names: Vec<String> = homes.iter().map(|home| home.name().to_sql()).collect();
    format!(
        "PREPARE flywheel_holding AS SELECT FROM {}; DEALLOCATE flywheel_holding;",
        names.join(", ")
    )
}

/// The query whose answer [`Session::check_definitions`] looks at.
pub(super) fn asking(homes: &[&Arc<Home>]) -> String {
    catalogue::digests(homes.iter().map(|home| home.table.table.oid))
}

impl Session {
    /// Refuses to lay rows over those of the store that the block has written for another definition than this: their columns aren't the same.
    pub(crate) fn check_written_for(&self, home: &Home) -> Outcome<()> {
        let written = self.block.of_table(home.name()).next();
        match written.filter(|(_, written)| written.home.table.table.digest != home.table.table.digest) {
            Some(_) => Err(refused(home)),
            None => Ok(()),
        }
    }

    /// Refuses a COMMIT of rows that were made for other definitions than these. `is_frozen`: the block's snapshot shows them as they were when it began.
    pub(super) async fn check_definitions(&mut self, homes: &[&Arc<Home>], digests: Option<&Rows>, is_frozen: bool) -> Outcome<()> {
        // What the block itself has made of a definition is seen by itself only.
        let elsewhere = is_frozen && !self.block.redefined && self.shared.pool().options().size > 1;
        if !elsewhere {
            let changed = digests.and_then(|digests| changed(homes, digests));
            let Some(home) = changed else { return Ok(()) };
            let shared = self.shared.clone();
            if !self.block.redefined && !is_frozen {
                // Whoever tries again plans anew.
                let visible = shared.visible(self.server().await?).await;
                visible.map_err(|error| self.server_failed(&error))?;
            }
            return Err(refused(home));
        }
        let pool = self.shared.pool().clone();
        let asked = asking(homes);
        let told = |error: flywheel_postgres::ServerError| Failure::Statement(error.to_pg());
        let (mut lease, mut apart);
        let connection = if let Ok(Ok(pooled)) = tokio::time::timeout(SHORTLY, pool.acquire_plain()).await {
            lease = pooled;
            &mut *lease
        } else {
            apart = pool.connect_apart(&[]).await.map_err(told)?;
            &mut apart
        };
        let digests = connection.query(&asked).await.map_err(told)?;
        match digests.last().and_then(|digests| changed(homes, digests)) {
            None => Ok(()),
            Some(home) => {
                self.shared.reload(connection).await.map_err(told)?;
                Err(refused(home))
            }
        }
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
    conflict(home).with_detail("The table's definition has changed.").into()
}
