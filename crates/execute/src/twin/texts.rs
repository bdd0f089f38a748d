//! Words by which code runs what isn't in its text.

/// PostgreSQL's own functions that run a text, or read a table whose name is a value.
pub(super) const RUNS_TEXTS: &[&str] = &[
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "ts_stat1",
    "ts_stat2",
    "tsquery_rewrite_query",
];

/// Words by which code runs what isn't in its text, or makes definitions of which nobody knows.
const DYNAMIC: &[&str] = &[
    "alter",
    "cluster",
    "create",
    "deallocate",
    "drop",
    "execute",
    "import",
    "pg_temp",
    "prepare",
    "refresh",
    "track_counts",
    "uescape",
];

/// Whether code with this word in it does what its text says, and no more.
pub(super) fn is_static(word: &str) -> bool {
    !DYNAMIC.contains(&word) && !RUNS_TEXTS.contains(&word)
}
