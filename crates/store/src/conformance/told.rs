//! What a listener has been told, for a store's own tests.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{ChangeListener, Changed};

/// What happened, in its order.
#[derive(Debug, Default)]
struct State {
    changes: Vec<(usize, Changed)>,
    missed: usize,
    told: Option<Instant>,
}

/// A listener that notes everything.
#[derive(Debug, Default)]
pub struct Notes {
    state: Mutex<State>,
}

impl Notes {
    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until all has been told that was written before.
    ///
    /// # Panics
    /// When it takes a minute.
    pub async fn all_told(&self) {
        let begun = Instant::now();
        while self.with(|state| state.told.is_none_or(|told| told < begun)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is told");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The changes that have been told, each once, and forgets them.
    ///
    /// # Panics
    /// When it takes a minute.
    pub async fn changes(&self) -> Vec<(usize, Changed)> {
        self.all_told().await;
        self.with(|state| {
            let mut once = Vec::new();
            for change in std::mem::take(&mut state.changes) {
                if !once.contains(&change) {
                    once.push(change);
                }
            }
            once
        })
    }

    /// How often changes were missed.
    pub fn missed(&self) -> usize {
        self.with(|state| state.missed)
    }
}

impl ChangeListener for Notes {
    fn changed(&self, table: usize, changed: Changed) {
        self.with(|state| state.changes.push((table, changed)));
    }

    fn missed(&self) {
        self.with(|state| {
            state.missed += 1;
            state.changes.clear();
        });
    }

    fn told(&self, until: Instant) {
        self.with(|state| {
            assert!(state.missed > 0, "what was before is told to be missed first");
            state.told = state.told.max(Some(until));
        });
    }
}
