//! What PostgreSQL has counted of the twins in the running transaction, and how they and their
//! types are defined in it: read before and after a statement that isn't proved to leave them
//! alone.
//!
//! A table's counters move with its scans and writes, whatever code does them, and a savepoint's
//! ROLLBACK doesn't set them back. TRUNCATE isn't counted, but gives the table another file.
//! Workers count for themselves, so there are none meanwhile.
//!
//! Types are judged as ALTER TABLE is, by what a statement has made of them: the marks of a guarded
//! statement hold the columns of the twins and all types that they consist of, and ALTER and DROP
//! of anything are guarded. The digests of definitions hold them too.

use std::collections::{HashMap, HashSet};

use flywheel_postgres::Rows;
use flywheel_types::TableName;
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

/// The name of the prepared statement that keeps the marks in the transaction.
pub const MARK: &str = "flywheel_mark";
/// The name of the one that fails when they are others by now.
pub const CHECK: &str = "flywheel_check";
/// What runs triggers that wait for the end of the transaction.
pub const CONSTRAINTS: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// In the message by which the check fails.
const MOVED: &str = "flywheel_moved";
/// Between the parts of a mark.
const PART: char = '\u{1f}';

/// The marks: what each says, with the table's name. Those of a kind that begins
/// - `a`: reads, `w`: writes; both must stay;
/// - `d`: a column or the form of a type; must stay;
/// - `k`: a value of an enum; may not go;
/// - `g`: a condition; may not come;
/// - `c`: definitions of whatever kind; where it moves, other proofs are of the past.
const MARKS: &str = "
twins AS (
  SELECT c.oid, c.relfilenode, pg_catalog.concat(n.nspname, '.', c.relname) AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE (n.nspname, c.relname) IN ({names})
), types(name, type) AS (
  SELECT w.name, a.atttypid FROM twins w JOIN pg_catalog.pg_attribute a ON a.attrelid = w.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
  UNION
  SELECT y.name, x.type FROM types y JOIN pg_catalog.pg_type t ON t.oid = y.type CROSS JOIN LATERAL (
    SELECT t.typbasetype UNION ALL SELECT t.typelem
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
      WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
    UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE t.typtype = 'm' AND d.objid = t.oid
      AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
  ) AS x(type) WHERE x.type >= 16384
), marks(mark) AS (
  SELECT pg_catalog.concat_ws('{part}', 'a', name, pg_catalog.pg_stat_get_xact_numscans(oid)
    + coalesce((SELECT pg_catalog.sum(pg_catalog.pg_stat_get_xact_numscans(i.indexrelid))
      FROM pg_catalog.pg_index i WHERE i.indrelid = twins.oid), 0)) FROM twins
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'w', name, oid, relfilenode, pg_catalog.pg_stat_get_xact_tuples_inserted(oid),
    pg_catalog.pg_stat_get_xact_tuples_updated(oid), pg_catalog.pg_stat_get_xact_tuples_deleted(oid)) FROM twins
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'd', name, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation)
    FROM twins JOIN pg_catalog.pg_attribute a ON a.attrelid = twins.oid WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'g', name, k.oid, k.convalidated)
    FROM twins JOIN pg_catalog.pg_constraint k ON k.conrelid = twins.oid
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'k', name, e.oid, e.enumlabel)
    FROM types JOIN pg_catalog.pg_enum e ON e.enumtypid = types.type
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'd', name, t.oid, a.attnum, a.atttypid, a.atttypmod, a.attcollation)
    FROM types JOIN pg_catalog.pg_type t ON t.oid = types.type JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
    WHERE t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'g', name, t.oid, 'not null')
    FROM types JOIN pg_catalog.pg_type t ON t.oid = types.type WHERE t.typnotnull
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'g', name, k.oid, k.convalidated)
    FROM types JOIN pg_catalog.pg_constraint k ON k.contypid = types.type
  UNION ALL SELECT pg_catalog.concat_ws('{part}', 'c', '', pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
    + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
    + CASE WHEN c.oid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN 0
      ELSE pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) END)) FROM pg_catalog.unnest({catalogues}) AS c(oid)
)";

/// Where definitions lie that decide what code runs.
const CATALOGUES: &[&str] = &[
    "pg_amproc",
    "pg_attrdef",
    "pg_cast",
    "pg_class",
    "pg_constraint",
    "pg_event_trigger",
    "pg_index",
    "pg_inherits",
    "pg_operator",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_trigger",
    "pg_type",
];

/// The texts of the two prepared statements.
#[derive(Debug)]
pub struct Marks {
    /// Its parameter: an array of the tables whose types may change, since they have no rows.
    pub mark: String,
    /// Its column: whether definitions were made.
    pub check: String,
    /// A query of the marks of columns and types alone.
    pub types: String,
}

impl Marks {
    pub(super) fn of(tables: &[TableName]) -> Self {
        let names: Vec<_> = tables
            .iter()
            .map(|table| format!("({}, {})", literal(&table.schema), literal(&table.name)))
            .collect();
        let catalogues: Vec<_> = CATALOGUES
            .iter()
            .map(|name| format!("'pg_catalog.{name}'::pg_catalog.regclass::pg_catalog.oid"))
            .collect();
        let marks = MARKS
            .replace("{names}", &names.join(", "))
            .replace("{catalogues}", &format!("ARRAY[{}]", catalogues.join(", ")))
            .replace("{part}", &PART.to_string());
        let counting = format!(
            "CASE pg_catalog.current_setting('track_counts') WHEN 'on' THEN 0 ELSE CAST('{MOVED}{PART}t{PART}' || pg_catalog.current_setting('track_counts') AS pg_catalog.int4) END"
        );
        let mark = format!(
            "WITH RECURSIVE {marks} SELECT {counting}, \
             pg_catalog.set_config('flywheel.marks', coalesce((SELECT pg_catalog.array_agg(mark)::pg_catalog.text FROM marks), '{{}}'), true), \
             pg_catalog.set_config('flywheel.changing', $1::pg_catalog.text, true), \
             pg_catalog.set_config('flywheel.workers', pg_catalog.current_setting('max_parallel_workers'), true), \
             pg_catalog.set_config('max_parallel_workers', '0', true)"
        );
        let check = format!(
            "WITH RECURSIVE {marks}, before(mark) AS (\
               SELECT pg_catalog.unnest(coalesce(nullif(pg_catalog.current_setting('flywheel.marks'), ''), '{{}}')::pg_catalog.text[])\
             ), come(mark) AS (SELECT mark FROM marks EXCEPT SELECT mark FROM before\
             ), gone(mark) AS (SELECT mark FROM before EXCEPT SELECT mark FROM marks\
             ), moved(mark) AS (\
               SELECT mark FROM come WHERE pg_catalog.left(mark, 1) <> 'k' \
               UNION ALL SELECT mark FROM gone WHERE pg_catalog.left(mark, 1) <> 'g'\
             ), found(mark) AS (\
               SELECT pg_catalog.max(mark COLLATE \"C\") FROM moved WHERE pg_catalog.left(mark, 1) <> 'c' \
               AND NOT (pg_catalog.left(mark, 1) IN ('a', 'd', 'g', 'k') AND pg_catalog.split_part(mark, '{PART}', 2) = \
                 ANY (coalesce(nullif(pg_catalog.current_setting('flywheel.changing'), ''), '{{}}')::pg_catalog.text[]))\
             ) SELECT {counting}, CASE WHEN found.mark IS NOT NULL THEN \
               CAST('{MOVED}{PART}' || found.mark AS pg_catalog.int4) \
               WHEN EXISTS (SELECT FROM moved WHERE pg_catalog.left(mark, 1) = 'c') THEN 1 ELSE 0 END, \
             pg_catalog.set_config('max_parallel_workers', coalesce(nullif(pg_catalog.current_setting('flywheel.workers'), ''), \
               pg_catalog.current_setting('max_parallel_workers')), true) FROM found"
        );
        let types = format!(
            "WITH RECURSIVE {marks} SELECT mark, pg_catalog.split_part(mark, '{PART}', 2), n.nspname, c.relname FROM marks \
             JOIN pg_catalog.pg_class c ON true JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE (n.nspname, c.relname) IN ({}) AND pg_catalog.concat(n.nspname, '.', c.relname) = pg_catalog.split_part(mark, '{PART}', 2) \
             AND pg_catalog.left(mark, 1) IN ('d', 'g', 'k')",
            names.join(", ")
        );
        Self { mark, check, types }
    }
}

/// The tables whose columns or types have changed between two answers to [`Marks::types`], so that
/// rows would read differently.
pub fn changed(before: &Rows, after: &Rows) -> HashSet<TableName> {
    let marks = |rows: &Rows| -> HashMap<String, TableName> {
        let table = |row| TableName::new(rows.text(row, 2), rows.text(row, 3));
        (0..rows.rows.len()).map(|row| (rows.text(row, 0).to_owned(), table(row))).collect()
    };
    let (before, after) = (marks(before), marks(after));
    let gone =
        before.iter().filter(|(mark, _)| !mark.starts_with('g') && !after.contains_key(*mark));
    let come =
        after.iter().filter(|(mark, _)| !mark.starts_with('k') && !before.contains_key(*mark));
    gone.chain(come).map(|(_, table)| table.clone()).collect()
}

/// What has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    Read(String),
    Written(String),
    Defined(String),
    /// Nothing is counted.
    Uncounted,
}

/// What the error of a mark or a check says; `None`: it is an error of another kind.
pub fn moved(error: &PgError) -> Option<Moved> {
    let (_, said) = error.message().split_once(&format!("{MOVED}{PART}"))?;
    let mut parts = said.split(PART);
    let kind = parts.next()?;
    let name = parts.next().unwrap_or_default().to_owned();
    Some(match kind {
        "a" => Moved::Read(name),
        "w" => Moved::Written(name),
        "t" => Moved::Uncounted,
        _ => Moved::Defined(name),
    })
}

impl Moved {
    /// The error that the client gets.
    pub fn told(&self) -> PgError {
        let refused = |message: String, hint: &str| {
            PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(hint.to_owned())
        };
        match self {
            Self::Read(table) => refused(
                format!("code that PostgreSQL runs can't read table \"{table}\", whose rows are in a store"),
                "A function, trigger, rule or DO block finds PostgreSQL's own, empty table. Read it in a statement of its own.",
            ),
            Self::Written(table) => refused(
                format!("code that PostgreSQL runs can't write to table \"{table}\", whose rows are in a store"),
                "What a function, trigger, rule or DO block writes there would be lost. Write to it in a statement of its own.",
            ),
            Self::Defined(table) => refused(
                format!("the statement changes columns or types of table \"{table}\", whose rows are in a store"),
                "Its rows are stored as the types are now. ALTER TABLE the table itself: add a column of another type, \
                 UPDATE it from the old one, and drop that. Types of an empty table can be changed.",
            ),
            Self::Uncounted => refused(
                "the statement can't be run while track_counts is off: it may read or write store tables".into(),
                "PostgreSQL's counters tell what a function, trigger, rule or DO block does. Set track_counts to on.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_has_moved() {
        let said = |what: &str| {
            let message = format!("invalid input syntax for type integer: \"{MOVED}{PART}{what}\"");
            moved(&PgError::error(sqlstate::SYNTAX_ERROR, message))
        };
        assert_eq!(said(&format!("a{PART}public.a{PART}1")), Some(Moved::Read("public.a".into())));
        assert_eq!(
            said(&format!("w{PART}public.a{PART}1")),
            Some(Moved::Written("public.a".into()))
        );
        assert_eq!(
            said(&format!("g{PART}public.a{PART}1")),
            Some(Moved::Defined("public.a".into()))
        );
        assert_eq!(said(&format!("t{PART}off")), Some(Moved::Uncounted));
        assert_eq!(moved(&PgError::error(sqlstate::SYNTAX_ERROR, "another")), None);
    }
}
