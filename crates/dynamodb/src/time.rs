//! Timestamps and dates as ISO 8601 of a fixed width, so that DynamoDB's byte order is the order in
//! time.
//!
//! Years 1 to 9999 are four digits. Later ones are `Y` and seven digits, n BC is `/` and 10000 − n:
//! characters that sort after and before the digits, as `infinity` and `-infinity` do further out.

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days from 1970-01-01, the Unix epoch, to 2000-01-01, PostgreSQL's.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_SECONDS: i64 = EPOCH_DAYS * 86_400;

/// What follows the time of a `timestamptz`.
pub(crate) const UTC: &str = "Z";
/// What follows the time of a `timestamp`: nothing.
pub(crate) const LOCAL: &str = "";

/// A timestamp, as `2026-11-23T14:24:28.123456Z`.
pub(crate) fn timestamp_text(micros: i64, zone: &str) -> String {
    match micros {
        i64::MIN => "-infinity".to_owned(),
        i64::MAX => "infinity".to_owned(),
        _ => {
            let date = day_text(micros.div_euclid(MICROS_PER_DAY));
            let of_day = micros.rem_euclid(MICROS_PER_DAY);
            let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
            format!(
                "{date}T{:02}:{:02}:{:02}.{micros:06}{zone}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            )
        }
    }
}

/// Reads [`timestamp_text`]'s form and no other.
pub(crate) fn parse_timestamp(text: &str, zone: &str) -> Option<i64> {
    match text {
        "-infinity" => return Some(i64::MIN),
        "infinity" => return Some(i64::MAX),
        _ => {}
    }
    let (date, time) = text.split_once('T')?;
    let bytes = time.strip_suffix(zone)?.as_bytes();
    if bytes.len() != 15 || bytes[2] != b':' || bytes[5] != b':' || bytes[8] != b'.' {
        return None;
    }
    let (hours, minutes, seconds, micros) = (
        digits(&bytes[0..2])?,
        digits(&bytes[3..5])?,
        digits(&bytes[6..8])?,
        digits(&bytes[9..15])?,
    );
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let of_day = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    parse_day(date)?.checked_mul(MICROS_PER_DAY)?.checked_add(of_day)
}

/// A date, as `2026-11-23`.
pub(crate) fn date_text(days: i32) -> String {
    match days {
        i32::MIN => "-infinity".to_owned(),
        i32::MAX => "infinity".to_owned(),
        _ => day_text(i64::from(days)),
    }
}

/// Reads [`date_text`]'s form and no other.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    match text {
        "-infinity" => Some(i32::MIN),
        "infinity" => Some(i32::MAX),
        _ => i32::try_from(parse_day(text)?).ok(),
    }
}

/// The Unix time of a timestamp, rounded up: DynamoDB's sweeper must not delete a row that is still
/// there.
pub(crate) fn unix_seconds(micros: i64) -> i64 {
    let seconds = micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) > 0);
    seconds.saturating_add(EPOCH_SECONDS)
}

fn day_text(days: i64) -> String {
    let (year, month, day) = civil(days + EPOCH_DAYS);
    match year {
        1..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        ..=0 => format!("/{:04}-{month:02}-{day:02}", year + 9999),
        _ => format!("Y{year:07}-{month:02}-{day:02}"),
    }
}

fn parse_day(text: &str) -> Option<i64> {
    let (year, rest) = text.split_once('-')?;
    let bytes = rest.as_bytes();
    if bytes.len() != 5 || bytes[2] != b'-' || year.len() > 8 {
        return None;
    }
    let year = match year.as_bytes() {
        [b'Y', year @ ..] => digits(year)?,
        [b'/', year @ ..] => digits(year)? - 9999,
        year => digits(year)?,
    };
    let days = days(year, digits(&bytes[0..2])?, digits(&bytes[3..5])?) - EPOCH_DAYS;
    (day_text(days) == text).then_some(days)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible
/// low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day_of_year - (153 * march_month + 2) / 5 + 1,
    )
}

/// The inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (micros, text) in [
            (i64::MIN, "-infinity"),
            (-211_813_488_000_000_000, "/5286-11-24T00:00:00.000000Z"),
            (-1, "1999-12-31T23:59:59.999999Z"),
            (0, "2000-01-01T00:00:00.000000Z"),
            (252_455_616_000_000_000, "Y0010000-01-01T00:00:00.000000Z"),
            (i64::MAX, "infinity"),
        ] {
            assert_eq!(timestamp_text(micros, UTC), text);
            assert_eq!(parse_timestamp(text, UTC), Some(micros));
        }
        for (days, text) in [
            (i32::MIN, "-infinity"),
            (-730_120, "/9999-12-31"),
            (-730_119, "0001-01-01"),
            (9823, "2026-11-23"),
            (2_921_939, "9999-12-31"),
            (2_921_940, "Y0010000-01-01"),
            (i32::MAX, "infinity"),
        ] {
            assert_eq!(date_text(days), text);
            assert_eq!(parse_date(text), Some(days));
        }
    }

    #[test]
    fn other_spellings_are_declined() {
        for text in [
            "2026-02-30",
            "2026-13-01",
            "2026-00-10",
            "26-01-01",
            "0000-01-01",
            "2026-1-01",
            "Y2026-01-01",
            "/99999999-01-01",
            "--",
            "",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in [
            "2026-11-23T14:24:28Z",
            "2026-11-23 14:24:28.123456Z",
            "2026-11-23T24:00:00.000000Z",
            "2026-11-23T14:24:28.123456+",
            "Y9999999-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(parse_timestamp(text, UTC), None, "{text}");
        }
    }

    #[test]
    fn a_row_is_never_swept_early() {
        assert_eq!(unix_seconds(0), 946_684_800);
        assert_eq!(unix_seconds(1), 946_684_801);
        assert_eq!(unix_seconds(-1), 946_684_800);
    }

    /// PostgreSQL's own range, 4714 BC to 294276 and to 5874897.
    fn any_micros() -> impl Strategy<Value = i64> {
        prop_oneof![
            -211_813_488_000_000_000..9_223_371_331_200_000_000i64,
            -1_000_000_000_000i64..1_000_000_000_000,
            Just(i64::MIN),
            Just(i64::MAX)
        ]
    }

    fn any_days() -> impl Strategy<Value = i32> {
        prop_oneof![
            -2_451_507..2_145_031_949i32,
            -800_000..3_000_000,
            Just(i32::MIN),
            Just(i32::MAX)
        ]
    }

    proptest! {
        #[test]
        fn they_come_back(micros in any_micros(), days in any_days()) {
            prop_assert_eq!(parse_timestamp(&timestamp_text(micros, UTC), UTC), Some(micros));
            prop_assert_eq!(parse_date(&date_text(days)), Some(days));
        }

        #[test]
        fn byte_order_is_time_order(
            one in any_micros(),
            other in any_micros(),
            day in any_days(),
            other_day in any_days(),
        ) {
            let order = timestamp_text(one, UTC).cmp(&timestamp_text(other, UTC));
            prop_assert_eq!(order, one.cmp(&other));
            prop_assert_eq!(date_text(day).cmp(&date_text(other_day)), day.cmp(&other_day));
        }

        #[test]
        fn nothing_panics(micros: i64, days: i32, text in ".{0,30}", date in "[Y/]?[0-9]{0,9}-[0-9]{2}-[0-9]{2}") {
            let _ = (timestamp_text(micros, UTC), date_text(days), unix_seconds(micros));
            let _ = (parse_timestamp(&text, UTC), parse_date(&text), parse_date(&date));
        }
    }
}
