//! Durations and sizes.

use std::time::Duration;

use super::Resolver;
use crate::file::Size;

impl Resolver<'_> {
    /// A duration such as "5s" or "1m 30s".
    pub(super) fn duration(
        &mut self,
        path: &[&str],
        text: Option<&str>,
        default: &str,
    ) -> Duration {
        self.section(&[]).duration(path, text, default)
    }

    /// A duration that may be left out.
    pub(super) fn duration_if_given(
        &mut self,
        path: &[&str],
        text: Option<&str>,
    ) -> Option<Duration> {
        text.map(|text| self.duration(path, Some(text), text))
    }

    /// A duration of at most a millisecond, or none.
    pub(super) fn moment(&mut self, path: &[&str], text: Option<&str>, default: &str) -> Duration {
        let text = text.unwrap_or(default);
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= Duration::from_millis(1) => return duration,
            Ok(_) => self.mistake(
                path,
                format!("\"{text}\" is too long a time"),
                "write a duration from 0s to 1ms",
            ),
            Err(_) => self.mistake(
                path,
                format!("\"{text}\" isn't a duration"),
                "write a number with its unit, such as 50us, or 0s",
            ),
        }
        Duration::ZERO
    }

    /// A size in bytes, or with kB, MB, GB.
    pub(super) fn size(&mut self, path: &[&str], size: Option<&Size>, default: usize) -> usize {
        let bytes = match size {
            None => Some(default),
            Some(Size::Bytes(bytes)) => usize::try_from(*bytes).ok(),
            Some(Size::Text(text)) => parse_size(text),
        };
        // A message is at least as long as the longest login packet, and at most as long as
        // PostgreSQL's own limit.
        match bytes.filter(|bytes| (10_000..=0x3fff_ffff).contains(bytes)) {
            Some(bytes) => bytes,
            None => {
                self.mistake(
                    path,
                    "not a size of at least 10000 bytes and less than 1GB",
                    "write a number of bytes, or one with its unit such as \"64MB\" (kB, MB or GB)",
                );
                default
            }
        }
    }
}

impl Resolver<'_> {
    /// An amount of bytes of any size but none.
    pub(super) fn bytes(&mut self, path: &[&str], size: &Size) -> Option<u64> {
        let bytes = match size {
            Size::Bytes(bytes) => u64::try_from(*bytes).ok(),
            Size::Text(text) => parse_size(text).map(|bytes| bytes as u64),
        };
        let bytes = bytes.filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            self.mistake(
                path,
                "not a size of at least one byte",
                "write a number of bytes, or one with its unit such as \"16MB\" (kB, MB or GB)",
            );
        }
        bytes
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let (digits, unit) =
        text.split_at(text.find(|each: char| !each.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        let cases = [
            ("10000", Some(10_000)),
            ("10000B", Some(10_000)),
            ("64kB", Some(64 << 10)),
            ("64 MB", Some(64 << 20)),
            ("1GB", Some(1 << 30)),
            ("64mb", None),
            ("1.5GB", None),
            ("-1MB", None),
            ("+1MB", None),
            ("MB", None),
            ("", None),
            ("18446744073709551615GB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
