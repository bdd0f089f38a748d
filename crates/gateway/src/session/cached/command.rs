//! SHOW CACHE, FLUSH CACHE [table] and RELOAD.

use bytes::BytesMut;
use flywheel_answers::{Caching, RuleFigures};
use flywheel_execute::{Answer, CacheCommand};
use flywheel_sql::RelationName;
use flywheel_wire::{PgError, Severity, backend, sqlstate};

use super::CacheCommands;
use crate::session::Outcome;

impl CacheCommands<'_> {
    pub(in crate::session) async fn run(&mut self, command: &CacheCommand) -> Outcome<Answer> {
        self.check_administers(command).await?;
        match command {
            CacheCommand::Show => Ok(self.show_cache()),
            CacheCommand::Flush(name) => self.flush_cache(name.as_ref()).await,
            CacheCommand::Reload => self.reload().await,
        }
    }

    /// What can't change without a restart is told in a warning each.
    async fn reload(&self) -> Outcome<Answer> {
        let restarts = self.session.shared.options.reloading.ask().await?;
        let mut answer = Answer::tagged("RELOAD");
        for restart in restarts {
            let warning = PgError::new(Severity::Warning, sqlstate::WARNING, restart);
            let mut notice = BytesMut::new();
            backend::notice_response(&mut notice, &warning);
            answer.push_notice(&notice);
        }
        Ok(answer)
    }

    fn show_cache(&self) -> Answer {
        let rows = self.session.shared.caching.as_deref().map(cache_rows).unwrap_or_default();
        let mut answer = Answer::default();
        for row in &rows {
            answer.push_texts(row.iter().map(String::as_str));
        }
        answer.tag = format!("SHOW {}", rows.len());
        answer
    }

    async fn flush_cache(&mut self, name: Option<&RelationName>) -> Outcome<Answer> {
        let Some(caching) = self.session.shared.caching.clone() else {
            return Ok(Answer::tagged("FLUSH CACHE"));
        };
        let graph = match name {
            Some(_) => Some(
                caching
                    .graph_over(self.session.server().await?)
                    .await
                    .map_err(|error| self.session.server_failed(&error))?,
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

/// The rows of SHOW CACHE: a rule each.
pub(crate) fn cache_rows(caching: &Caching) -> Vec<Vec<String>> {
    let row = |rule: RuleFigures| {
        let been = rule.bypasses.iter().filter(|(_, number)| *number > 0);
        let bypasses: Vec<_> =
            been.map(|(reason, number)| format!("{}: {number}", reason.name())).collect();
        let mut columns = vec![rule.number.to_string(), rule.condition];
        columns.extend(rule.values.iter().map(|(_, value)| value.to_string()));
        columns.push(bypasses.join(", "));
        // Empty: it has no lag, or nothing is known.
        columns.push(rule.lag.map_or_else(String::new, |lag| lag.as_millis().to_string()));
        columns.push(rule.retained.map_or_else(String::new, |bytes| bytes.to_string()));
        columns.push(rule.problems.join("; "));
        columns
    };
    caching.figures().into_iter().map(row).collect()
}
