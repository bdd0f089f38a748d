//! What lives in a server connection and can't be carried over to another: it keeps the connection
//! with its client while it lasts.

use flywheel_sql::Pin;

use crate::options::PoolMode;

/// Why a session keeps its server connection.
#[derive(Debug)]
pub(crate) struct Pins {
    mode: PoolMode,
    reasons: Vec<Pin>,
    /// The open block has brought all of them about, and its ROLLBACK undoes them.
    by_block: bool,
    /// One of them can't be taken off the connection: nobody else is to get it.
    indelible: bool,
    /// Statements since the last look may have undone them.
    released: bool,
}

impl Pins {
    pub(crate) fn new(mode: PoolMode) -> Self {
        let mut pins =
            Self { mode, reasons: Vec::new(), by_block: false, indelible: false, released: false };
        pins.clear();
        pins
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The first of the reasons, as the log says it.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reasons.first().map(|pin| pin.reason())
    }

    /// The session has asked for last values of sequences.
    pub(crate) fn asks_last_values(&self) -> bool {
        self.reasons.contains(&Pin::LastValue)
    }

    pub(crate) fn add(&mut self, pin: Pin, in_block: bool) {
        if self.is_empty() {
            self.by_block = in_block;
        }
        if !self.reasons.contains(&pin) {
            self.reasons.push(pin);
        }
        self.by_block &= pin.is_transactional();
        self.indelible |= pin.outlives_discard();
    }

    /// Nothing of the session is on the connection.
    pub(crate) fn clear(&mut self) {
        self.reasons.clear();
        if self.mode == PoolMode::Session {
            self.reasons.push(Pin::PoolMode);
        }
        self.by_block = false;
        self.released = false;
    }

    /// The block is over: what it has made is gone with its ROLLBACK; a table that was made ON
    /// COMMIT DROP, with its COMMIT.
    pub(crate) fn end_block(&mut self, rolled_back: bool) {
        if std::mem::take(&mut self.by_block) {
            if rolled_back {
                self.clear();
            } else {
                self.released = true;
            }
        }
    }

    /// DISCARD ALL leaves nothing, unless only the end of the connection ends it.
    pub(crate) fn discard(&mut self) {
        if !self.indelible {
            self.clear();
        }
    }

    /// A statement may have undone one of them.
    pub(crate) fn note_release(&mut self) {
        self.released = !self.is_empty();
    }

    /// PostgreSQL is about to be asked what is left of them.
    pub(crate) fn note_look(&mut self) {
        self.released = false;
    }

    /// Whether it is worth asking PostgreSQL what is left of them.
    pub(crate) fn may_be_gone(&self) -> bool {
        self.released && !self.indelible && self.reasons.iter().all(|pin| pin.is_listed())
    }

    /// Whether nobody else is to get the connection.
    pub(crate) fn are_indelible(&self) -> bool {
        self.indelible
    }
}

/// Whether what is created is temporary without saying so once this statement has set the search
/// path: `pg_temp` comes first on it.
pub(crate) fn creates_temporary(statement: &str) -> bool {
    let Some((before, _)) = statement.split_once("pg_temp") else {
        return false;
    };
    let folded = before.to_ascii_lowercase();
    let path = folded.rsplit("search_path").next().unwrap_or_default();
    let path =
        path.trim_start_matches(|each: char| each.is_whitespace() || "'\",=(".contains(each));
    path.is_empty()
        || path
            .strip_prefix("to")
            .is_some_and(|rest| rest.trim_matches([' ', '\'', '"']).is_empty())
}

/// Whether it may be, when the schemas before `pg_temp` aren't there.
pub(crate) fn may_create_temporary(statement: &str) -> bool {
    statement.contains("pg_temp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_block_has_made_goes_with_its_rollback() {
        let mut pins = Pins::new(PoolMode::Transaction);
        pins.add(Pin::TemporaryObject, true);
        pins.end_block(true);
        assert!(pins.is_empty());
        pins.add(Pin::TemporaryObject, true);
        pins.add(Pin::AdvisoryLock, true);
        pins.end_block(true);
        assert!(!pins.is_empty(), "a lock of the session outlives its block");
    }

    #[test]
    fn discard_all_leaves_what_only_the_connections_end_ends() {
        let mut pins = Pins::new(PoolMode::Transaction);
        pins.add(Pin::RandomSeed, false);
        pins.discard();
        assert!(pins.are_indelible() && !pins.is_empty());
        let mut pins = Pins::new(PoolMode::Session);
        pins.add(Pin::AdvisoryLock, false);
        pins.discard();
        assert!(!pins.is_empty(), "in session mode the connection stays");
    }

    #[test]
    fn where_things_are_created() {
        for first in [
            "SET search_path = pg_temp, public",
            "SET search_path TO \"pg_temp\"",
            "SELECT set_config('search_path', 'pg_temp, a', false)",
        ] {
            assert!(creates_temporary(first), "{first}");
        }
        for later in [
            "SET search_path = public, pg_temp",
            "SET search_path TO 'a', pg_temp",
            "SELECT set_config('search_path', 'a, pg_temp', false)",
            "SET search_path = a",
        ] {
            assert!(!creates_temporary(later), "{later}");
        }
    }
}
