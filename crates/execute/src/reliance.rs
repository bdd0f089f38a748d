//! What the operations of stores rely on, so that a definition is the one that was planned for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::steady::{Operation, Since};

/// What the operations of stores rely on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relying {
    /// On what comes before or after them: a transaction in PostgreSQL, or what COMMIT checks.
    #[default]
    Otherwise,
    /// On the gateway's holding the definition.
    OnGateway,
    /// On its holding the definition all the time, from the first operation to the last check:
    /// PostgreSQL computes over what was read.
    Throughout,
}

/// Why an operation wasn't begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// PostgreSQL has another definition than the plan's.
    Changed,
    /// The gateway doesn't hold the definition now.
    NotHeld,
}

/// What a session's operations rely on now, and why one wasn't begun.
#[derive(Debug, Default)]
pub struct Reliance {
    /// What they rely on.
    pub relying: Relying,
    lapse: Mutex<Option<Lapse>>,
    /// Since when the gateway has held what the statement relies on throughout.
    since: Mutex<Option<Since>>,
}

impl Reliance {
    /// A statement's operations rely on this from now on.
    pub(crate) fn rely(&mut self, relying: Relying) {
        self.relying = relying;
        *lock(&self.since) = None;
    }

    /// They rely on something else, until [`Self::resume`] with what this returns.
    pub(crate) fn suspend(&mut self) -> Relying {
        std::mem::take(&mut self.relying)
    }

    /// They go on as they began.
    pub(crate) fn resume(&mut self, relying: Relying) {
        self.relying = relying;
    }

    /// Whether an operation may rely on the gateway's holding the definition as the statement's
    /// earlier ones did.
    pub(crate) fn continues(&self, operation: &Operation) -> bool {
        if self.relying != Relying::Throughout {
            return true;
        }
        *lock(&self.since).get_or_insert_with(|| operation.since()) == operation.since()
    }

    /// An operation isn't begun.
    pub fn lapse_as(&self, lapse: Lapse) {
        *lock(&self.lapse) = Some(lapse);
    }

    /// The plan was for a definition that has gone, and nothing of it was carried out.
    pub fn take_lapse(&mut self) -> Option<Lapse> {
        self.lapse.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
