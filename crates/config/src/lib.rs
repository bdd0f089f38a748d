//! The configuration file: one TOML text becomes a [`Config`] in which everything is resolved, or a [`Report`] of every mistake in it.
//!
//! The way of a text: `tree` (TOML with positions, `${VAR}` replaced) → `shape` (checked against the JSON schema of [`mod@file`]) →
//! [`file::File`] (serde) → `resolve` (meaning: names that refer to each other, units, secrets) → [`Config`].
//!
//! The structs of [`mod@file`] are the one definition of the file's shape; [`schema`] is made of them. A new key is a field there, and a line in
//! `resolve/`.

mod config;
mod diagnostic;
pub mod file;
mod resolve;
mod shape;
mod tree;

use std::path::Path;

pub use config::{
    Authentication, Config, DynamoDb, EmbeddedStore, Layout, Limits, Memory, Postgres, PostgresUrl, Redis, Route, RouteTarget, Secret,
    StatementKind, Store, Table, User,
};
pub use diagnostic::{Diagnostic, Report};

/// Where `${VAR}` comes from.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Reads the file at `path`. Relative paths in it are relative to its folder.
///
/// # Errors
/// A report of every mistake in it, or that it can't be read.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<Config, Report> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => read(&name, &text, path.parent().unwrap_or_else(|| Path::new(".")), environment),
        Err(error) => Err(Report::unreadable(&name, &error)),
    }
}

/// Reads a text. `name` stands for the file in reports.
///
/// # Errors
/// A report of every mistake in it.
pub fn parse(name: &str, text: &str, environment: Environment<'_>) -> Result<Config, Report> {
    read(name, text, Path::new("."), environment)
}

fn read(name: &str, text: &str, folder: &Path, environment: Environment<'_>) -> Result<Config, Report> {
    let mut diagnostics = Vec::new();
    let config = tree::parse(text, environment, &mut diagnostics).and_then(|tree| {
        let read = diagnostics.len();
        shape::check(&tree, &schema(), &mut diagnostics);
        // Mistakes of form don't hide those of meaning: what can be read without them is.
        let mistaken: Vec<_> = diagnostics[read..].iter().map(|mistake| mistake.span.clone()).collect();
        match serde_json::from_value::<file::File>(tree.without(&mistaken).to_json()) {
            Ok(file) => {
                let mut meant = Vec::new();
                let config = resolve::resolve(file, &tree, folder, &mut meant);
                // What lacks a key that was left out for its form isn't told twice.
                let is_own = |mistake: &Diagnostic| {
                    !mistaken
                        .iter()
                        .any(|inner| mistake.span.start < inner.start && inner.end <= mistake.span.end)
                };
                diagnostics.extend(meant.into_iter().filter(is_own));
                config
            }
            Err(_) if !mistaken.is_empty() => None,
            Err(error) => {
                diagnostics.push(Diagnostic::new(0..0, error.to_string(), "`flywheel schema` prints what is allowed"));
                None
            }
        }
    });
    match config {
        Some(config) if diagnostics.is_empty() => Ok(config),
        _ => Err(Report::new(name, text, diagnostics)),
    }
}

/// The JSON schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::File).to_value()
}
