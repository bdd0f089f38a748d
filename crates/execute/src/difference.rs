//! What a computed write has changed, and how it comes to the store: at once, or at the block's end
//! with the rows locked until then.

use std::sync::Arc;

use flywheel_plan::{Home, Target};
use flywheel_sql::Waiting;
use flywheel_store::{Change, Expect};
use flywheel_types::{Key, Row, TableName};
use flywheel_wire::PgError;
use indexmap::IndexMap;

use super::holding::{Held, absent, as_read};
use super::staging::Images;
use super::turn::Turn;
use super::write::{Written, is_one_write};
use crate::block::{Buffered, Guard};
use crate::error::duplicate_key;
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// Changes by table.
type ByTable = IndexMap<TableName, (Arc<Home>, Vec<Change>)>;

/// A row that is other than it was.
pub(super) type Difference = (Arc<Home>, Key, Buffered);

/// Writes what has changed. False when somebody else has changed one of the rows meanwhile, or
/// has locked it.
pub(super) async fn write_difference<H: Host>(
    executor: &mut Executor<'_, H>,
    writes: Vec<(Arc<Home>, Change)>,
    (on_conflict, turn): (bool, &mut Turn),
) -> Outcome<bool> {
    let written = if is_one_write(&writes) {
        let written = executor.write_free(&writes).await?;
        turn.meets_block = written == Written::Held;
        written == Written::Done
    } else {
        executor.write_together(writes.clone()).await?
    };
    if !written
        && !on_conflict
        && !turn.meets_block
        && let Some(error) = taken_key(executor, &writes).await?
    {
        if writes.iter().all(|(_, change)| change.expect == Expect::Absent) {
            return Err(error.into());
        }
        // Somebody may have one of the rows that are there, which is waited for first.
        turn.meets_block = true;
    }
    Ok(written)
}

/// Locks the rows that a write which skips locked ones would change. False when somebody has
/// one: it is left out from now on.
pub(super) async fn hold_free<H: Host>(
    executor: &mut Executor<'_, H>,
    changes: &[Difference],
    turn: &mut Turn,
) -> Outcome<bool> {
    let mut free = true;
    for (home, key, written) in changes {
        let place = (home.name().clone(), key.clone());
        let Some(row) = written.before.as_ref().filter(|_| !turn.busy.contains(&place)) else {
            continue;
        };
        let change = vec![as_read(key.clone(), row)];
        if executor.hold(home, change, Waiting::Skip).await? == Held::Busy {
            turn.busy.insert(place);
            free = false;
        }
    }
    Ok(free)
}

/// Locks the rows and keeps the changes for COMMIT. False when one has changed since it was
/// read: then all of them are locked as they are now.
pub(super) async fn buffer<H: Host>(
    executor: &mut Executor<'_, H>,
    changes: Vec<Difference>,
    on_conflict: bool,
) -> Outcome<bool> {
    // That a new row's key is taken is told when the rows that are there have been waited for.
    let mut there: ByTable = IndexMap::new();
    let mut new: ByTable = IndexMap::new();
    for (home, key, written) in &changes {
        let (of_home, change) = match &written.before {
            Some(row) => (&mut there, as_read(key.clone(), row)),
            None => (&mut new, absent(key.clone(), written.after.as_ref())),
        };
        let (_, of_home) =
            of_home.entry(home.name().clone()).or_insert_with(|| (home.clone(), Vec::new()));
        of_home.push(change);
    }
    let mut held = true;
    for (home, of_home) in there.values() {
        held &= executor.hold(home, of_home.clone(), Waiting::Wait).await? == Held::Own;
    }
    let are_there = held;
    for (home, of_home) in new.values().filter(|_| are_there) {
        held &= executor.hold(home, of_home.clone(), Waiting::Wait).await? == Held::Own;
    }
    if held {
        for (home, key, written) in &changes {
            // In the block's own rows, which weren't locked anew.
            let known =
                executor.block().get(home.name(), key).is_some_and(|known| known.after.is_some());
            if written.before.is_none() && known {
                return Err(duplicate_key(home, key).into());
            }
        }
        for (home, key, written) in changes {
            executor.block_mut().write(&home, key, written.before, written.after);
        }
        return Ok(true);
    }
    let new = new.into_values().filter(|_| are_there);
    for (home, of_home) in there.into_values().chain(new) {
        for change in of_home {
            let is_new = change.expect == Expect::Absent;
            let keys = std::slice::from_ref(&change.key);
            if is_new
                && !on_conflict
                && executor.read_keys(&home, keys).await?.iter().any(Option::is_some)
            {
                return Err(duplicate_key(&home, &change.key).into());
            }
            if !is_new {
                executor.check_current(&home, &change.key)?;
            }
            executor.hold_as_they_are(&home, keys).await?;
        }
    }
    Ok(false)
}

/// The error of a new row whose key is taken; `None` when another change was refused.
async fn taken_key<H: Host>(
    executor: &mut Executor<'_, H>,
    writes: &[(Arc<Home>, Change)],
) -> Outcome<Option<PgError>> {
    for (home, change) in writes.iter().filter(|(_, change)| change.expect == Expect::Absent) {
        let stored = executor.read_keys(home, std::slice::from_ref(&change.key)).await?;
        if stored.iter().any(Option::is_some) {
            return Ok(Some(duplicate_key(home, &change.key)));
        }
    }
    Ok(None)
}

/// A row that is other than it was.
pub(super) fn changed(
    home: &Arc<Home>,
    key: Key,
    before: Option<Row>,
    after: Option<Row>,
) -> Difference {
    let written = Buffered { home: home.clone(), before, after, guard: Guard::None };
    (home.clone(), key, written)
}

/// The rows that are other than they were.
pub(super) fn difference(
    targets: &[Target],
    before: Vec<Images>,
    after: Vec<Images>,
) -> Vec<Difference> {
    let mut changes = Vec::new();
    for ((target, mut before), after) in targets.iter().zip(before).zip(after) {
        let home = &target.home;
        for (key, row) in after {
            let was = before.remove(&key);
            if was.as_ref() != Some(&row) {
                changes.push(changed(home, key, was, Some(row)));
            }
        }
        changes.extend(before.into_iter().map(|(key, was)| changed(home, key, Some(was), None)));
    }
    changes
}
