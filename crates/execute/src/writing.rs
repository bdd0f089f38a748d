//! A write that PostgreSQL computes, as it is planned.

use flywheel_plan::{Fetch, Target};
use flywheel_sql::Parsed;
use flywheel_wire::{PgError, sqlstate};

use super::strength::Strength;

/// A plan for a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing<'p> {
    pub(super) targets: &'p [Target],
    /// The rows that are only read.
    pub(super) fetches: &'p [Fetch],
    pub(super) on_conflict: bool,
    /// They are put into PostgreSQL's tables like those of the targets.
    pub(super) in_tables: bool,
}

impl<'p> Writing<'p> {
    /// The error of a write that locks rows of a table in PostgreSQL: they would be let go with the
    /// staged rows, and not at the block's end.
    pub(super) fn loses_lock(&self, parsed: &Parsed) -> Option<PgError> {
        let fetches =
            self.targets.iter().filter_map(|target| target.fetch.as_ref()).chain(self.fetches);
        let homed: Vec<usize> = fetches.map(|fetch| fetch.relation).collect();
        let mut others =
            parsed.relations.iter().enumerate().filter(|(place, _)| !homed.contains(place));
        let (_, locked) = others.find(|(place, _)| parsed.locks(*place))?;
        let message = format!(
            "in a transaction block a write to a store table can't lock rows of \"{}\" in PostgreSQL: they wouldn't stay locked",
            locked.name
        );
        let hint = "Lock them by a SELECT of its own first.";
        Some(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(hint))
    }

    /// Whether it skips locked rows of the tables that it changes, and of no others: those that it
    /// would change are those that it is to lock.
    pub(super) fn skips(&self, parsed: &Parsed) -> bool {
        let is_changed = |fetch: &Fetch| {
            self.targets.iter().any(|target| target.home.name() == fetch.home.name())
        };
        let locked = |fetch: &'p Fetch| Some((fetch, Strength::of(parsed, fetch.relation)?));
        let mut locked = self.fetches.iter().filter_map(locked).peekable();
        !self.in_tables
            && locked.peek().is_some()
            && locked.all(|(fetch, strength)| is_changed(fetch) && strength.skips())
    }
}

/// The command as PostgreSQL names it where it refuses one.
pub(super) fn command(text: &str) -> &'static str {
    let words = text.trim_start().get(..6).unwrap_or_default().to_ascii_lowercase();
    match words.trim_end() {
        "insert" => "INSERT",
        "update" => "UPDATE",
        "delete" => "DELETE",
        "merge" => "MERGE",
        _ => "SELECT",
    }
}
