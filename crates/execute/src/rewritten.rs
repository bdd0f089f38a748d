//! A statement's text with parameters in the places of store tables. Their values, behind the
//! client's, are the tables' rows, so that the text is the same at each execution: a server
//! connection prepares it once, and nobody else who sees it sees rows.
//!
//! Rows travel to PostgreSQL as the text of an array of the row type, not as JSON.
//! `jsonb_populate_recordset` turns a jsonb `null` into SQL's NULL and loses the spaces of a `json`
//! document; the array goes through each column's own input function, so a value arrives as
//! PostgreSQL printed it.
//!
//! Rows are a parameter, never part of a text: a text with rows in it would be planned anew each
//! time, kept in PostgreSQL's log, and shown to others by `pg_prepared_statements`, `pg_cursors`
//! and `pg_stat_activity`. So the rewritten text is the same at each execution, and from the second
//! on a connection keeps it prepared under a name made of all that its meaning depends on. COPY
//! takes no parameters: its rows wait in settings of the transaction that it runs in
//! (`execute/copy_to.rs`).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flywheel_plan::{Fetch, row_source, substitute};
use flywheel_sql::{LockedName, Parsed};

/// A rewritten text.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// When it was made: a statement that a connection has prepared before isn't used for it.
    pub(super) since: Instant,
    /// Whether it means the same each time, so that a connection may keep it.
    pub(super) may_be_kept: bool,
    has_run: AtomicBool,
}

impl Rewritten {
    /// The text with parameters for these fetches, behind the first `given`.
    pub(super) fn of(text: &str, parsed: &Parsed, fetches: &[Fetch], given: usize) -> Self {
        Self::with(text, parsed, fetches, |place| format!("${}", given + place + 1))
    }

    /// The text with an expression for the rows of each.
    pub(super) fn with(
        text: &str,
        parsed: &Parsed,
        fetches: &[Fetch],
        rows: impl Fn(usize) -> String,
    ) -> Self {
        Self::made(rewrite(text, parsed, fetches, rows))
    }

    /// The text as it is.
    pub(super) fn made(text: String) -> Self {
        Self { text, since: Instant::now(), may_be_kept: false, has_run: AtomicBool::new(false) }
    }

    /// The text of a write without its locks of rows that are put into tables, which nobody else
    /// can have. PostgreSQL may run a subquery again for each row, and its lock would then skip
    /// those that the statement has written, so that LIMIT is of others each time. `None`: it has
    /// no such locks.
    pub(super) fn unlocked(text: &str, parsed: &Parsed, homed: &[usize]) -> Option<Self> {
        let is_homed = |place: &usize| homed.contains(place);
        let is_meant = |name: &LockedName| name.relation.as_ref().is_some_and(is_homed);
        let locks = parsed.locking.iter().filter(|clause| match &clause.names[..] {
            [] => clause.relations.iter().all(is_homed),
            names => names.iter().all(is_meant),
        });
        let replacements: Vec<_> =
            locks.map(|clause| (clause.range.clone(), String::new())).collect();
        (!replacements.is_empty()).then(|| Self::made(substitute(text, &replacements)))
    }

    /// Kept by connections, or not.
    pub(super) fn kept_if(self, may_be_kept: bool) -> Self {
        Self { may_be_kept, ..self }
    }

    /// Whether it has run before: who sends its values in the text has another one each time, and
    /// none of them is worth keeping.
    pub(super) fn is_repeated(&self) -> bool {
        self.has_run.swap(true, Ordering::Relaxed)
    }
}

fn rewrite(
    text: &str,
    parsed: &Parsed,
    fetches: &[Fetch],
    rows: impl Fn(usize) -> String,
) -> String {
    let mut replacements: Vec<_> = fetches
        .iter()
        .enumerate()
        .flat_map(|(place, fetch)| {
            let relation = &parsed.relations[fetch.relation];
            let table = &fetch.home.table.table;
            relation.replaced(row_source(&table.name, &rows(place), relation.alias.is_none()))
        })
        .collect();
    let fetched: HashSet<usize> = fetches.iter().map(|fetch| fetch.relation).collect();
    for clause in &parsed.locking {
        let is_fetched =
            |name: &&LockedName| name.relation.is_some_and(|relation| fetched.contains(&relation));
        if !clause.names.iter().any(|name| is_fetched(&name)) {
            continue;
        }
        // PostgreSQL locks no rows of a function's.
        let left = clause.names.iter().filter(|name| !is_fetched(name));
        let left: Vec<_> = left.map(|name| &text[name.range.clone()]).collect();
        if let ([first, ..], [.., last]) = (&clause.names[..], &clause.names[..]) {
            replacements.push(match &left[..] {
                [] => (clause.range.clone(), String::new()),
                _ => (first.range.start..last.range.end, left.join(", ")),
            });
        }
    }
    replacements.sort_by_key(|(range, _)| range.start);
    substitute(text, &replacements)
}
