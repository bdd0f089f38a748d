//! Dates and timestamps: ISO 8601 with four or more digits of the year, the one order of fields
//! that no `DateStyle` changes.

use std::io::Write as _;

use crate::calendar::{
    MICROS_PER_DAY, MICROS_PER_SECOND, date_of, day_number, is_valid_date, is_valid_timestamp,
};

/// `2026-01-02`, `0044-03-15 BC`, `infinity`.
pub(super) fn decode_date(text: &str) -> Option<i32> {
    if let Some(positive) = infinity(text) {
        return Some(if positive { i32::MAX } else { i32::MIN });
    }
    let (text, before_christ) = era(text);
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date(before_christ)?;
    i32::try_from(cursor.end().then_some(days)?).ok()
}

/// `2026-01-02 03:04:05.123456`, or a day alone. What names a zone is PostgreSQL's to read: it
/// leaves the zone out.
pub(super) fn decode_timestamp(text: &str) -> Option<i64> {
    moment(text, |cursor| {
        let has_time = cursor.eat(b' ') || cursor.eat(b'T');
        if has_time { cursor.time() } else { Some(0) }
    })
}

/// `2026-01-02 03:04:05.123456+00`, with `T` or a blank between date and time, seconds and their
/// fraction optional, and always an offset.
pub(super) fn decode_timestamptz(text: &str) -> Option<i64> {
    moment(text, |cursor| {
        if !(cursor.eat(b' ') || cursor.eat(b'T')) {
            return None;
        }
        let time = cursor.time()?;
        Some(time - cursor.offset()? * MICROS_PER_SECOND)
    })
}

/// `03:04:05.123456`, seconds and their fraction optional, and `24:00:00`.
pub(super) fn decode_time(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix("24:00") {
        return matches!(rest, "" | ":00").then_some(MICROS_PER_DAY);
    }
    let mut cursor = Cursor(text.as_bytes());
    let micros = cursor.time()?;
    cursor.end().then_some(micros)
}

/// A day and what `time` reads behind it, in microseconds after its midnight.
fn moment(text: &str, time: impl FnOnce(&mut Cursor<'_>) -> Option<i64>) -> Option<i64> {
    if let Some(positive) = infinity(text) {
        return Some(if positive { i64::MAX } else { i64::MIN });
    }
    let (text, before_christ) = era(text);
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date(before_christ)?;
    let micros = days.checked_mul(MICROS_PER_DAY)?.checked_add(time(&mut cursor)?)?;
    (cursor.end() && is_valid_timestamp(micros)).then_some(micros)
}

pub(super) fn encode_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = push_date(i64::from(days), out);
            out.extend_from_slice(before_christ);
        }
    }
}

/// `zone` follows the time: `+00` of a `timestamptz`, nothing of a `timestamp`.
pub(super) fn encode_timestamp(micros: i64, zone: &str, out: &mut Vec<u8>) {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = push_date(micros.div_euclid(MICROS_PER_DAY), out);
            out.push(b' ');
            encode_time(micros.rem_euclid(MICROS_PER_DAY), out);
            out.extend_from_slice(zone.as_bytes());
            out.extend_from_slice(before_christ);
        }
    }
}

/// Appends the time of day, in microseconds since midnight.
pub(super) fn encode_time(micros: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends a date without its era, which is returned: PostgreSQL prints it after the time.
fn push_date(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    let (year, month, day) = date_of(days);
    let (year, era): (i64, &[u8]) = if year > 0 { (year, b"") } else { (1 - year, b" BC") };
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
    era
}

fn infinity(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("infinity") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("-infinity").then_some(false)
}

fn era(text: &str) -> (&str, bool) {
    text.strip_suffix(" BC").map_or((text, false), |rest| (rest, true))
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn end(&self) -> bool {
        self.0.is_empty()
    }

    fn eat(&mut self, expected: u8) -> bool {
        let rest = self.0.strip_prefix(&[expected]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// As many digits as there are up to `most`: their number and their count.
    fn digits(&mut self, most: usize) -> (i64, usize) {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        (digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')), count)
    }

    /// Two digits, below `limit`.
    fn pair(&mut self, limit: i64) -> Option<i64> {
        let (number, count) = self.digits(2);
        (count == 2 && number < limit).then_some(number)
    }

    fn date(&mut self, before_christ: bool) -> Option<i64> {
        let padded = self.0.first() == Some(&b'0');
        let (year, count) = self.digits(7);
        if count < 4 || (padded && count > 4) || year == 0 || !self.eat(b'-') {
            return None;
        }
        let month = self.pair(13)?;
        let day = self.eat(b'-').then(|| self.pair(32))??;
        let days = day_number(if before_christ { 1 - year } else { year }, month, day)?;
        is_valid_date(days).then_some(days)
    }

    /// Microseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hour = self.pair(24)?;
        let minute = self.eat(b':').then(|| self.pair(60))??;
        let second = if self.eat(b':') { Some(self.pair(60)?) } else { None };
        let fraction = if second.is_some() && self.eat(b'.') { self.fraction()? } else { 0 };
        Some(((hour * 60 + minute) * 60 + second.unwrap_or(0)) * MICROS_PER_SECOND + fraction)
    }

    /// Microseconds from one to six digits. More are left over, for PostgreSQL to round.
    fn fraction(&mut self) -> Option<i64> {
        let (number, count) = self.digits(6);
        let missing = 6 - u32::try_from(count).ok()?;
        (count > 0).then(|| number * 10_i64.pow(missing))
    }

    /// Seconds east of UTC: `Z`, `+05`, `+0530`, `+05:30`, `+05:30:15`.
    fn offset(&mut self) -> Option<i64> {
        if self.eat(b'Z') || self.eat(b'z') {
            return Some(0);
        }
        let west = self.eat(b'-');
        if !west && !self.eat(b'+') {
            return None;
        }
        let hours = self.pair(16)?; // datetime.h, MAX_TZDISP_HOUR
        let colon = self.eat(b':');
        let minutes = if colon || self.0.first().is_some_and(u8::is_ascii_digit) {
            self.pair(60)?
        } else {
            0
        };
        let seconds = if colon && self.eat(b':') { self.pair(60)? } else { 0 };
        let offset = (hours * 60 + minutes) * 60 + seconds;
        Some(if west { -offset } else { offset })
    }
}
