//! `idle_session_timeout` as a client sets it. It is the client that is idle: its server
//! connection, if it has one, goes to others meanwhile.

use std::time::Duration;

use flywheel_execute::End;
use flywheel_wire::{PgError, SqlState};

/// 57P05
const IDLE_SESSION_TIMEOUT: SqlState = SqlState("57P05");

/// Waits that long; for ever where there is no bound.
pub(crate) async fn idle(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// The end of a session that was idle for too long.
pub(crate) fn timed_out() -> End {
    End::Fatal(PgError::fatal(
        IDLE_SESSION_TIMEOUT,
        "terminating connection due to idle-session timeout",
    ))
}

/// What a SET statement that PostgreSQL has accepted sets it to. `None`: no bound, or a value that
/// isn't in the text.
pub(super) fn idle_timeout(statement: &str) -> Option<Duration> {
    let value = statement.trim_end().trim_end_matches(';').trim_end();
    let value = match value.strip_suffix('\'') {
        // Between the number and its unit there may be a space.
        Some(quoted) => quoted.rsplit('\'').next()?.trim(),
        None => value.rsplit(['=', ' ']).next()?,
    };
    let digits =
        value.find(|each: char| !each.is_ascii_digit() && each != '.').unwrap_or(value.len());
    let number: f64 = value.get(..digits)?.parse().ok()?;
    let seconds = match value.get(digits..)?.trim() {
        "us" => 1e-6,
        "" | "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok().filter(|timeout| !timeout.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_and_without_units() {
        for (statement, milliseconds) in [
            ("SET idle_session_timeout = 1500", Some(1500)),
            ("SET idle_session_timeout TO '10s'", Some(10_000)),
            ("SET SESSION idle_session_timeout='1min';", Some(60_000)),
            ("SET idle_session_timeout = ' 2 s '", Some(2_000)),
            ("SET idle_session_timeout = 0", None),
            ("SET idle_session_timeout TO DEFAULT", None),
        ] {
            assert_eq!(
                idle_timeout(statement),
                milliseconds.map(Duration::from_millis),
                "{statement}"
            );
        }
    }
}
