//! SHOW CACHE and FLUSH CACHE [table].

use flywheel_sql::RelationName;
use flywheel_wire::reply::Field;
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, Kind, StoreStatement};
use crate::analysis::Analysis;
use crate::caching::{is_command, named_table};
use crate::session::{Outcome, Session};

/// The columns of SHOW CACHE.
const COLUMNS: [&str; 14] = [
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

/// A command of the cache's.
#[derive(Debug)]
pub(crate) enum CacheCommand {
    /// SHOW CACHE
    Show,
    /// FLUSH CACHE, or of what was read from this relation.
    Flush(Option<RelationName>),
}

/// The statement, when it is one.
pub(super) fn prepare(analysis: &Analysis) -> Result<Option<StoreStatement>, PgError> {
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
        let fields = COLUMNS.into_iter().map(field).collect();
        let kind = Kind::Cache(CacheCommand::Show);
        return Ok(Some(StoreStatement::own(analysis.text.clone(), kind, Some(fields))));
    }
    let Ok(name) = named_table(&analysis.text, statement) else {
        return Err(PgError::error(sqlstate::SYNTAX_ERROR, "syntax error in FLUSH CACHE")
            .with_hint("Write FLUSH CACHE, or FLUSH CACHE schema.table."));
    };
    let kind = Kind::Cache(CacheCommand::Flush(name));
    Ok(Some(StoreStatement::own(analysis.text.clone(), kind, None)))
}

impl Session {
    pub(super) async fn cache_command(&mut self, command: &CacheCommand) -> Outcome<Answer> {
        match command {
            CacheCommand::Show => Ok(self.show_cache()),
            CacheCommand::Flush(name) => self.flush_cache(name.as_ref()).await,
        }
    }

    fn show_cache(&self) -> Answer {
        let mut answer = Answer::default();
        let mut shown = 0;
        if let Some(caching) = &self.shared.caching {
            for rule in caching.figures() {
                let been = rule.bypasses.iter().filter(|(_, number)| *number > 0);
                let bypasses: Vec<_> = been.map(|(reason, number)| format!("{}: {number}", reason.name())).collect();
                let mut columns = vec![rule.number.to_string(), rule.condition];
                columns.extend(rule.values.iter().map(|(_, value)| value.to_string()));
                columns.push(bypasses.join(", "));
                // Empty: it has no lag, or nothing is known.
                columns.push(rule.lag.map_or_else(String::new, |lag| lag.as_millis().to_string()));
                columns.push(rule.retained.map_or_else(String::new, |bytes| bytes.to_string()));
                columns.push(rule.problems.join("; "));
                answer.push_texts(columns.iter().map(String::as_str));
                shown += 1;
            }
        }
        answer.tag = format!("SHOW {shown}");
        answer
    }

    async fn flush_cache(&mut self, name: Option<&RelationName>) -> Outcome<Answer> {
        let Some(caching) = self.shared.caching.clone() else {
            return Ok(Answer::tagged("FLUSH CACHE"));
        };
        let graph = match name {
            Some(_) => Some(
                caching
                    .graph_over(self.server().await?)
                    .await
                    .map_err(|error| self.server_failed(&error))?,
            ),
            None => None,
        };
        if !caching.flush(name, graph.as_deref()) {
            let name = name.map(ToString::to_string).unwrap_or_default();
            let message = format!("relation \"{name}\" does not exist");
            return Err(PgError::error(flywheel_wire::SqlState("42P01"), message).into());
        }
        Ok(Answer::tagged("FLUSH CACHE"))
    }
}
