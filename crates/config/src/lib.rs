//! The configuration file: one TOML text becomes a [`Config`] in which everything is resolved, or a
//! [`Report`] of every mistake in it.
//!
//! The way of a text: `tree` (TOML with positions, `${VAR}` replaced) → `shape` (checked against
//! the JSON schema of [`mod@file`]) → [`file::File`] (serde) → `resolve` (meaning: names that refer
//! to each other, units, secrets) → [`Config`].
//!
//! The structs of [`mod@file`] are the one definition of the file's shape, and each kind of store
//! adds its own keys ([`flywheel_kind`]); [`schema()`] is made of both. A new key that no kind owns
//! is a field there, and a line in `resolve/`.

mod config;
mod diagnostic;
pub mod file;
mod near;
mod resolve;
mod schema;
mod shape;
mod tree;

use std::ops::Range;
use std::path::Path;

pub use config::{
    Authentication, CacheRule, Config, Database, EmbeddedPostgres, HomeStore, Limits, Log,
    LogFormat, PoolMode, Postgres, PostgresHost, PostgresUrl, Role, Route, RouteTarget,
    SessionAttributes, Sharing, SslMode, StatementKind, Store, Table, Timeouts, Tls, User,
};
pub use diagnostic::{Diagnostic, Report};
use flywheel_kind::Kinds;
pub use flywheel_kind::Secret;
pub use schema::schema;

/// Where `${VAR}` comes from.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Reads the file at `path`, whose stores are PostgreSQL and of these kinds. Relative paths in it
/// are relative to its folder.
///
/// # Errors
/// A report of every mistake in it, or that it can't be read.
pub fn load(path: &Path, environment: Environment<'_>, kinds: Kinds<'_>) -> Result<Config, Report> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Report::unreadable(&name, &error))?;
    match String::from_utf8(bytes) {
        Ok(text) => {
            let folder = path.parent().unwrap_or_else(|| Path::new("."));
            read(&name, &text, folder, environment, kinds)
        }
        Err(error) => Err(Report::not_utf8(&name, &error)),
    }
}

/// Reads a text. `name` stands for the file in reports.
///
/// # Errors
/// A report of every mistake in it.
pub fn parse(
    name: &str,
    text: &str,
    environment: Environment<'_>,
    kinds: Kinds<'_>,
) -> Result<Config, Report> {
    read(name, text, Path::new("."), environment, kinds)
}

fn read(
    name: &str,
    text: &str,
    folder: &Path,
    environment: Environment<'_>,
    kinds: Kinds<'_>,
) -> Result<Config, Report> {
    // Editors don't count a byte order mark as a column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut diagnostics = Vec::new();
    let config = tree::parse(text, environment, &mut diagnostics).and_then(|tree| {
        // Mistakes of one kind don't hide those of the next: what can be read without them is.
        let mut found = Vec::new();
        let mut sound = shape::check(&tree, &schema(kinds), &mut found);
        sound.entry("stores").or_insert_with(|| serde_json::json!({}));
        add_own(&mut diagnostics, found, &tree.span);
        match serde_json::from_value::<file::File>(sound.into()) {
            Ok(file) => {
                let mut found = Vec::new();
                let page = resolve::Page { tree: &tree, folder, kinds };
                let config = resolve::resolve(file, page, &mut found);
                add_own(&mut diagnostics, found, &tree.span);
                config
            }
            Err(error) => {
                diagnostics.push(Diagnostic::new(
                    0..0,
                    error.to_string(),
                    "`flywheel schema` prints what is allowed",
                ));
                None
            }
        }
    });
    match config {
        Some(config) if diagnostics.is_empty() => Ok(config),
        _ => Err(Report::new(name, text, diagnostics)),
    }
}

/// Adds the mistakes that don't come from another at the same value. The whole file is no such
/// value.
fn add_own(diagnostics: &mut Vec<Diagnostic>, mut found: Vec<Diagnostic>, whole: &Range<usize>) {
    found.retain(|mistake| {
        mistake.span == *whole || diagnostics.iter().all(|cause| cause.span != mistake.span)
    });
    diagnostics.append(&mut found);
}
