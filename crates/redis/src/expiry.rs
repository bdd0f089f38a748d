//! The expiry column as the expiry of the row's key.

use flywheel_store::{Assignment, Effect, POSTGRES_EPOCH_MICROS, StoreTable};
use flywheel_types::Value;

/// What becomes of a key's own expiry when its row is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It stays as it is: the table has no expiry column, or the column isn't written.
    Keep,
    /// The key never expires.
    Never,
    /// Milliseconds since 1970, as PEXPIREAT takes them.
    At(i64),
    /// Its time is over: no row stays.
    Over,
}

impl Expiry {
    pub(crate) fn of(table: &StoreTable, effect: &Effect, now: i64) -> Self {
        let Some(expires_at) = table.expires_at else {
            return Self::Keep;
        };
        let written = match effect {
            Effect::Put(row) => row.get(expires_at),
            Effect::Set(values) => {
                values.iter().find_map(|(position, assignment)| match assignment {
                    Assignment::Value(value) if *position == expires_at => Some(value),
                    _ => None,
                })
            }
            Effect::Delete => None,
        };
        match written {
            None => Self::Keep,
            Some(Value::Timestamptz(i64::MAX)) => Self::Never,
            Some(Value::Timestamptz(until)) if *until <= now => Self::Over,
            // Rounded up, since a row must not go before its time; in the rest of the millisecond
            // readers leave it out.
            Some(Value::Timestamptz(until)) => {
                Self::At(until.saturating_add(POSTGRES_EPOCH_MICROS).saturating_add(999) / 1000)
            }
            Some(_) => Self::Never,
        }
    }

    /// As `write.lua` reads it.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Never => "never".to_owned(),
            Self::At(millis) => millis.to_string(),
            Self::Over => "over".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_store::conformance::fixture::*;

    use super::*;

    #[test]
    fn of_a_written_value() {
        let table = table("t", &[("id", int8_type()), ("until", timestamptz_type())], &["id"]);
        let set = |value: Value| Effect::Set(vec![(1, Assignment::Value(value))]);
        assert_eq!(Expiry::of(&table, &set(Value::Null), 0), Expiry::Keep);
        let table = expiring(table, "until");
        let at = |micros: i64| Expiry::of(&table, &set(Value::Timestamptz(micros)), 0);
        assert_eq!(at(1), Expiry::At(946_684_800_001));
        assert_eq!(at(1000), Expiry::At(946_684_800_001));
        assert_eq!(at(0), Expiry::Over);
        assert_eq!(at(i64::MIN), Expiry::Over);
        assert_eq!(at(i64::MAX), Expiry::Never);
        assert!(matches!(at(i64::MAX - 1), Expiry::At(_)));
        assert_eq!(Expiry::of(&table, &set(Value::Null), 0), Expiry::Never);
        assert_eq!(Expiry::of(&table, &Effect::Set(vec![]), 0), Expiry::Keep);
    }
}
