//! Staged writes take turns where they would collide: by PostgreSQL's advisory locks, which all
//! gateways share. A first attempt holds those of its rows with others, up to its write to the
//! store; it waits for nobody, and gives up where somebody wants them alone. A later one waits
//! until it has them alone, before it reads: what it computes is overtaken only by writes that
//! PostgreSQL has no part in.
//!
//! A staged write repeats itself up to twenty times outside a block when somebody else has changed
//! one of its rows meanwhile, and then becomes a block of its own, which locks them; inside a block
//! a conflict is told at COMMIT. Staged writes take turns (`execute/turn.rs`), through whichever
//! gateway: a first attempt has PostgreSQL's advisory locks of its rows in shared mode, asked for
//! by the text that begins the staging and kept until the store has written; where somebody waits
//! for them alone it doesn't get them, and queues too. Who has them alone reads anew and is
//! overtaken by no staged write, only by native ones and COMMITs. Where PostgreSQL serves one
//! connection there are no turns: the connection is one.

use std::collections::{BTreeSet, HashSet};

use flywheel_types::{Key, Table, TableName, ordered};

use super::fetch::Fetched;

/// How many locks a table has. Rows share them, so that a statement on many rows takes few.
const STRIPES: u64 = 16;
/// "flyw", the last letter of which gives way to the stripe.
const CLASS: i32 = 0x666c_7900;

/// The locks that a statement needs, in the order in which all take them.
#[derive(Debug, Default)]
pub(super) struct Turn {
    locks: BTreeSet<(u32, i32)>,
    /// An open block has locked one of the rows.
    pub(super) meets_block: bool,
    /// In a block: the rows as they were fetched at first.
    pub(super) first: Option<Fetched>,
    /// Rows that were found locked, where such are skipped.
    pub(super) busy: HashSet<(TableName, Key)>,
}

impl Turn {
    /// Adds those of rows.
    pub(super) fn add<'a>(&mut self, table: &Table, keys: impl Iterator<Item = &'a Key>) {
        self.locks.extend(keys.map(|key| (table.oid, stripe(key))));
    }

    /// An expression: whether they could be had, together with others.
    pub(super) fn shared(&self) -> String {
        let locks: Vec<_> = self.each("pg_try_advisory_xact_lock_shared").collect();
        if locks.is_empty() { "true".into() } else { locks.join(" AND ") }
    }

    /// What begins a transaction that has them alone.
    pub(super) fn alone(&self) -> String {
        let locks = self.each("pg_advisory_xact_lock").map(|lock| format!("; SELECT {lock}"));
        format!("BEGIN{}", locks.collect::<String>())
    }

    fn each(&self, function: &str) -> impl Iterator<Item = String> {
        self.locks.iter().map(move |(table, stripe)| {
            format!("pg_catalog.{function}({}, {})", CLASS + stripe, table.cast_signed())
        })
    }
}

/// The same in every gateway, of any version: FNV-1a.
fn stripe(key: &Key) -> i32 {
    let hash =
        ordered::encode(key.values()).iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    i32::try_from((hash >> 32) % STRIPES).unwrap_or_default()
}
