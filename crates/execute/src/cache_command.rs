//! SHOW CACHE, FLUSH CACHE of a table or of all, and RELOAD.

use flywheel_statement::{Analysis, is_command, named_table};
use flywheel_wire::reply::Field;
use flywheel_wire::{PgError, sqlstate};

use super::statement::{CacheCommand, Kind, StoreStatement};

/// The columns of SHOW CACHE.
pub const CACHE_COLUMNS: [&str; 14] = [
    "rule",
    "condition",
    "hits",
    "misses",
    "fills",
    "shared",
    "waits",
    "stale",
    "entries",
    "bytes",
    "bypasses",
    "lag_ms",
    "retained_wal",
    "problems",
];
/// `pg_type.oid` of `text`.
const TEXT: u32 = 25;

/// The statement, when it is one.
pub(crate) fn prepare(analysis: &Analysis) -> Result<Option<StoreStatement>, PgError> {
    let [statement] = &analysis.statements[..] else { return Ok(None) };
    if !is_command(&analysis.text, statement) {
        return Ok(None);
    }
    if statement.tokens[0].is_keyword(&analysis.text, "show") {
        let field = |name: &str| Field {
            name: name.to_owned(),
            table_oid: 0,
            column: 0,
            type_oid: TEXT,
            type_len: -1,
            typmod: -1,
        };
        let fields = CACHE_COLUMNS.into_iter().map(field).collect();
        let kind = Kind::Cache(CacheCommand::Show);
        return Ok(Some(StoreStatement::own(analysis.text.clone(), kind, Some(fields))));
    }
    if statement.tokens[0].is_keyword(&analysis.text, "reload") {
        let kind = Kind::Cache(CacheCommand::Reload);
        return Ok(Some(StoreStatement::own(analysis.text.clone(), kind, None)));
    }
    let Ok(name) = named_table(&analysis.text, statement) else {
        return Err(PgError::error(sqlstate::SYNTAX_ERROR, "syntax error in FLUSH CACHE")
            .with_hint("Write FLUSH CACHE, or FLUSH CACHE schema.table."));
    };
    let kind = Kind::Cache(CacheCommand::Flush(name));
    Ok(Some(StoreStatement::own(analysis.text.clone(), kind, None)))
}
