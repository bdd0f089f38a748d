//! The present in PostgreSQL's reckoning.

use std::time::{SystemTime, UNIX_EPOCH};

/// 2000-01-01 UTC, from which PostgreSQL counts, in microseconds since 1970.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The present as microseconds since 2000-01-01 UTC, for [`crate::StoreTable::is_expired`].
#[must_use]
pub fn now_micros() -> i64 {
    // A clock before 1970 or past the year 294000 is no clock; it expires nothing, or everything,
    // but doesn't panic.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX) - POSTGRES_EPOCH_MICROS
}
