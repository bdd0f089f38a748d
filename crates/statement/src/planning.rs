//! Whether one plan serves all texts that differ in their constants and comments only.

use std::sync::atomic::{AtomicU8, Ordering};

/// How many texts of a shape are looked at before its plan is given up.
const ATTEMPTS: u8 = 3;
const PROVED: u8 = u8::MAX;

/// Whether one plan serves all texts of a shape.
#[derive(Debug, Default)]
pub struct ShapePlanning(AtomicU8);

impl ShapePlanning {
    /// It does, for one role at least.
    pub fn is_proved(&self) -> bool {
        self.0.load(Ordering::Relaxed) == PROVED
    }

    /// It was found to.
    pub fn prove(&self) {
        self.0.store(PROVED, Ordering::Relaxed);
    }

    /// It wasn't, with the constants of one text.
    pub fn note_failure(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |failures| {
            (failures < ATTEMPTS).then(|| failures + 1)
        });
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ATTEMPTS
    }
}
