//! Texts that must not be seen.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// A text that isn't printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A text that must not be seen: written out, taken from the environment as "${VAR}", or read from
/// a file.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretSource {
    /// The text itself.
    Text(String),
    /// The contents of a file, without the newline at its end.
    File(SecretFile),
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("***"),
            Self::File(file) => file.fmt(f),
        }
    }
}

/// A secret kept in a file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// The file, relative to the configuration file.
    #[schemars(length(min = 1))]
    pub file: String,
}
