//! Durations and sizes.

use std::time::Duration;

use super::Resolver;
use crate::file::Size;

impl Resolver<'_> {
    /// A duration such as "5s" or "1m 30s".
    pub(super) fn duration(&mut self, path: &[&str], text: Option<&str>, default: &str) -> Duration {
        let text = text.unwrap_or(default);
        match humantime::parse_duration(text) {
            Ok(duration) if !duration.is_zero() => duration,
            _ => {
                self.mistake(
                    path,
                    format!("\"{text}\" isn't a duration"),
                    "write a number with its unit, such as 500ms, 5s or 1m",
                );
                Duration::from_secs(1)
            }
        }
    }

    /// A size in bytes, or with kB, MB, GB.
    pub(super) fn size(&mut self, path: &[&str], size: Option<&Size>, default: usize) -> usize {
        let bytes = match size {
            None => Some(default),
            Some(Size::Bytes(bytes)) => usize::try_from(*bytes).ok(),
            Some(Size::Text(text)) => parse_size(text),
        };
        // A message is at least as long as the longest login packet, and at most as long as PostgreSQL's own limit.
        match bytes.filter(|bytes| (10_000..=0x3fff_ffff).contains(bytes)) {
            Some(bytes) => bytes,
            None => {
                self.mistake(
                    path,
                    "not a size from 10000 bytes to 1GB",
                    "write a number of bytes, or one with its unit such as \"64MB\"",
                );
                default
            }
        }
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|each: char| each.is_alphabetic()).trim_end();
    let unit = match &text[text.trim_end_matches(|each: char| each.is_alphabetic()).len()..] {
        "" | "B" => 1,
        "kB" | "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}
