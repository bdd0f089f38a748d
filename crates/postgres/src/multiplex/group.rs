//! Executions of one statement by several clients, in one transaction.
//!
//! PostgreSQL sends what it has answered at every Sync, and ends the transaction there: for a
//! lookup by key that costs as much as the lookup. So where several clients' executions of the same
//! prepared statement are to be written at the same time, only the last of them is followed by a
//! Sync. Each still is a statement with a snapshot of its own (READ COMMITTED), which began after
//! its client had asked.
//!
//! What makes it safe:
//!
//! - Shared connections are read only, so that an error, which ends the transaction, undoes nothing
//!   of those before it. Those after it weren't carried out; they are sent again, alone.
//! - All use the same statement, so they lock the same relations: none waits for a lock with
//!   another's locks in its hands.
//! - PostgreSQL keeps the answers of a group to itself until the Sync. So when one takes long, all
//!   of the group are sent again, each alone, and the group is cancelled: nobody waits for
//!   another's statement.
//! - Under SERIALIZABLE the end of a transaction may fail: such sessions don't join
//!   ([`Request::joins`]).
//!
//! An answer of a group ends at CommandComplete or ErrorResponse; its ReadyForQuery is put behind
//! it.
//!
//! Executions of one statement go together: where several clients' executions of the same prepared
//! statement are written at the same time, one Sync ends them all, so PostgreSQL begins one
//! transaction and sends once. With 32 clients that halves what such a lookup costs the server
//! process. Their statements keep snapshots of their own; an error costs those behind it a
//! repetition. Shared connections are therefore read only (`default_transaction_read_only`): what
//! turns out to write, in a view's function for instance, is refused there with 25006, borrows a
//! connection, and does so from then on. At most two writes are under way on a connection
//! (`MAX_WAVES`): what comes meanwhile goes together.

use std::sync::Arc;
use std::time::Instant;

use flywheel_wire::reply;

use super::channel::{State, Whose};
use super::{Answer, Request};

/// ReadyForQuery outside a transaction block.
pub(super) const READY: [u8; 6] = [reply::tag::READY_FOR_QUERY, 0, 0, 0, 5, b'I'];

impl Request {
    /// Whether it may be in a group.
    pub(super) fn can_join(&self) -> bool {
        self.joins && self.is_quick && self.attempts == 0 && self.named.is_some()
    }
}

impl State {
    /// Whether what arrives is for one of a group that others follow in.
    pub(super) fn is_in_group(&self) -> bool {
        self.awaited.front().is_some_and(|awaited| !awaited.ends_group)
    }

    /// How many there are of the first one's group, with it.
    pub(super) fn left_of_group(&self) -> u32 {
        let before_last = self.awaited.iter().take_while(|awaited| !awaited.ends_group).count();
        u32::try_from(before_last + 1).unwrap_or(u32::MAX)
    }

    /// The Sync of a group that has failed is answered: those of it that weren't carried out are to
    /// be sent again.
    pub(super) fn end_failed_group(&mut self) -> Vec<(Request, Arc<Answer>)> {
        self.group_failed = false;
        let mut again = Vec::new();
        while let Some(awaited) = self.pop_first() {
            match awaited.whose {
                Whose::Client(mut request, answer) => {
                    request.attempts += 1;
                    again.push((request, answer));
                }
                Whose::Cancelled(answer) => answer.fail(super::answer::cancelled()),
                Whose::Nobody | Whose::Settings => {}
            }
            if awaited.ends_group {
                break;
            }
        }
        self.since = Instant::now();
        again
    }
}
