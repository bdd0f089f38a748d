//! The part of the file that is being read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Secret, SecretSource};

/// "1year" of humantime. An `Instant` has no room for the longest that can be written.
const LONGEST: Duration = Duration::from_secs(31_557_600);

/// The file, as its reader gives it to a kind. A path is one of keys and of positions in arrays.
pub trait Page {
    /// Reports a mistake at a path.
    fn mistake(&mut self, path: &[&str], message: String, help: String);

    /// Whether the file has the key. One whose value has a mistake is in the file, but not among
    /// the keys that a kind gets.
    fn is_there(&self, path: &[&str]) -> bool;

    /// Whether the file has the key with anything but an empty array.
    fn is_filled(&self, path: &[&str]) -> bool;

    /// The file's folder, to which paths in it are relative.
    fn folder(&self) -> &Path;
}

/// A section of the file: `[stores.x]`, or one `[[tables]]`. Paths are relative to it.
pub struct Section<'p> {
    page: &'p mut dyn Page,
    at: Vec<String>,
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<'p> Section<'p> {
    /// The section at a path of the file.
    pub fn new(page: &'p mut dyn Page, at: &[&str]) -> Self {
        Self { page, at: at.iter().map(|&key| key.to_owned()).collect() }
    }

    fn path<'s>(at: &'s [String], path: &[&'s str]) -> Vec<&'s str> {
        at.iter().map(String::as_str).chain(path.iter().copied()).collect()
    }

    /// Reports a mistake; an empty path is the section itself.
    pub fn mistake(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        self.page.mistake(&Self::path(&self.at, path), message.into(), help.into());
    }

    /// [`Page::is_there`]
    #[must_use]
    pub fn is_there(&self, path: &[&str]) -> bool {
        self.page.is_there(&Self::path(&self.at, path))
    }

    /// [`Page::is_filled`]
    #[must_use]
    pub fn is_filled(&self, path: &[&str]) -> bool {
        self.page.is_filled(&Self::path(&self.at, path))
    }

    /// A file or folder that the file names.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.page.folder().join(path)
    }

    /// A duration such as "5s" or "1m 30s".
    pub fn duration(&mut self, path: &[&str], text: Option<&str>, default: &str) -> Duration {
        let text = text.unwrap_or(default);
        match humantime::parse_duration(text) {
            Ok(duration) if (Duration::from_millis(1)..=LONGEST).contains(&duration) => {
                return duration;
            }
            Ok(_) => self.mistake(
                path,
                format!("\"{text}\" is too short or too long a time"),
                "write a duration from 1ms to 1year",
            ),
            Err(_) => self.mistake(
                path,
                format!("\"{text}\" isn't a duration"),
                "write a number with its unit, such as 500ms, 5s or 1m",
            ),
        }
        // Not used: a configuration with a mistake isn't.
        Duration::from_secs(1)
    }

    /// The text of a file with certificates or a key in PEM. Relative paths are relative to the
    /// file's folder. `None` where the key isn't there, or has a mistake, which is reported.
    pub fn pem(&mut self, path: &[&str], file: Option<&str>) -> Option<Secret> {
        let file = file?;
        let problem = match std::fs::read_to_string(self.file(file)) {
            Ok(content) if content.contains("-----BEGIN ") => return Some(Secret::new(content)),
            Ok(_) => "it holds nothing in PEM".to_owned(),
            Err(error) => error.to_string(),
        };
        self.mistake(
            path,
            format!("can't read {file}: {problem}"),
            "a PEM file, by a path that is absolute or relative to this file",
        );
        None
    }

    /// A secret's text; `None` when its file can't be read, which is reported.
    pub fn secret(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret> {
        let source = match source {
            SecretSource::Text(text) => return Some(Secret::new(text.clone())),
            SecretSource::File(source) => source,
        };
        match std::fs::read_to_string(self.file(&source.file)) {
            Ok(text) => Some(Secret::new(
                text.strip_suffix('\n')
                    .map_or(text.as_str(), |text| text.trim_end_matches('\r'))
                    .to_owned(),
            )),
            Err(error) => {
                self.mistake(
                    &[path, &["file"]].concat(),
                    format!("can't read the secret in {}: {error}", source.file),
                    "give the path of a file that this user can read; the path is relative to the configuration file",
                );
                None
            }
        }
    }
}
