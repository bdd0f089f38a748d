//! What is logged, and how.

use super::Resolver;
use crate::config::{Log, LogFormat};
use crate::file;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Resolver<'_> {
    /// The log that the file asks for. A level that is none would be taken for the name of a crate,
    /// and nothing would be logged.
    pub(super) fn log(&mut self, log: file::Log) -> Log {
        let wrong =
            log.level.as_deref().and_then(|level| level.split(',').find(|part| !says(part)));
        if let Some(wrong) = wrong {
            self.mistake(
                &["log", "level"],
                format!("\"{}\" isn't a level of the log", wrong.trim()),
                format!(
                    "write one of {}, or levels by crates: \"warn,flywheel_gateway=debug\"",
                    LEVELS.join(", ")
                ),
            );
        }
        Log {
            format: match log.format {
                None | Some(file::LogFormat::Text) => LogFormat::Text,
                Some(file::LogFormat::Json) => LogFormat::Json,
            },
            level: log.level,
        }
    }
}

/// Whether this is a level, or that of a crate or of one of its modules.
fn says(directive: &str) -> bool {
    let (name, level) = directive.trim().rsplit_once('=').unwrap_or(("flywheel", directive));
    let is_name = |name: &str| {
        let mut letters = name.bytes();
        letters.all(|letter| letter.is_ascii_alphanumeric() || b"_:".contains(&letter))
    };
    !name.is_empty()
        && is_name(name)
        && LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level.trim()))
}
