//! What lives in a server connection and can't be carried over to another: it keeps the connection with its client while it lasts.

use flywheel_sql::Pin;

use super::Session;
use crate::options::PoolMode;

/// Why a session keeps its server connection.
#[derive(Debug)]
pub(super) struct Pins {
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
    pub(super) fn new(mode: PoolMode) -> Self {
        let mut pins = Self {
            mode,
            reasons: Vec::new(),
            by_block: false,
            indelible: false,
            released: false,
        };
        pins.clear();
        pins
    }

    fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    fn add(&mut self, pin: Pin, in_block: bool) {
        if self.is_empty() {
            self.by_block = in_block;
        }
        if !self.reasons.contains(&pin) {
            self.reasons.push(pin);
        }
        self.by_block &= pin.is_transactional();
        self.indelible |= pin.outlives_discard();
    }

    fn clear(&mut self) {
        self.reasons.clear();
        if self.mode == PoolMode::Session {
            self.reasons.push(Pin::PoolMode);
        }
        self.by_block = false;
        self.released = false;
    }

    /// The block is over: what it has made is gone with its ROLLBACK; a table that was made ON COMMIT DROP, with its COMMIT.
    pub(super) fn end_block(&mut self, rolled_back: bool) {
        if std::mem::take(&mut self.by_block) {
            if rolled_back {
                self.clear();
            } else {
                self.released = true;
            }
        }
    }

    /// DISCARD ALL leaves nothing, unless only the end of the connection ends it.
    pub(super) fn discard(&mut self) {
        if !self.indelible {
            self.clear();
        }
    }

    /// A statement may have undone one of them.
    pub(super) fn note_release(&mut self) {
        self.released = !self.is_empty();
    }

    /// Whether it is worth asking PostgreSQL what is left of them.
    pub(super) fn may_be_gone(&self) -> bool {
        self.released && !self.indelible && self.reasons.iter().all(|pin| pin.is_listed())
    }

    /// Whether nobody else is to get the connection.
    pub(super) fn are_indelible(&self) -> bool {
        self.indelible
    }
}

/// Whether something of the session is on its server connection still.
const ANYTHING_LEFT: &str = "SELECT 1 WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())
    OR EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)
    OR EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)
    OR EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())
    OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema())
    OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema())
    OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema())";

impl Session {
    /// Keeps the server connection with this session while it has something of its on it.
    pub(crate) fn pin(&mut self, pin: Pin) {
        if self.pins.is_empty() {
            tracing::debug!(user = self.user, reason = pin.reason(), "server connection stays with its client");
        }
        self.pins.add(pin, self.block.is_open());
    }

    pub(crate) fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }

    /// Asks PostgreSQL whether anything is left of what the server connection was kept for. The server is at rest, outside a block.
    pub(super) async fn look_for_pins(&mut self) {
        self.pins.released = false;
        // What is created is temporary without saying so.
        if self.setting("search_path").is_some_and(|path| path.contains("pg_temp")) {
            return;
        }
        self.lose_unnamed();
        let Some(lease) = self.held_server() else { return };
        // Where it can't be asked, the next statement will be told why.
        if lease
            .query(ANYTHING_LEFT)
            .await
            .is_ok_and(|results| results.iter().all(|result| result.rows.is_empty()))
        {
            self.pins.clear();
        }
    }
}
