//! From a file to a configuration.

use std::path::Path;

use crate::{Config, Report};

/// Reads the configuration file at `path`; `env` looks up environment variables.
///
/// # Errors
/// With every mistake of the file.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Report> {
    let _ = (path, env);
    todo!()
}

/// Reads a configuration from `text`. `source_name` stands for the file in messages, and relative paths start from its folder.
///
/// # Errors
/// With every mistake of the text.
pub fn parse(source_name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Report> {
    let _ = (source_name, text, env);
    todo!()
}

/// The JSON schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    todo!()
}
