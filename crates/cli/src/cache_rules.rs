//! Cache rules against what the databases say: what can't be followed is refused at its place in
//! the configuration file.

use std::path::Path;
use std::time::Duration;

use flywheel_config::{CacheRule, Config, Diagnostic, Report};
use flywheel_gateway::{Gateway, RuleProblem};

/// How long a start waits for what PostgreSQL says.
const PATIENCE: Duration = Duration::from_secs(10);
const HELP: &str = "write invalidate = \"none\" in this rule (only its ttl ends answers then), or leave the table out";

/// What is wrong with the rules so that the gateway must not start. What is less than that is
/// logged, and so is that PostgreSQL can't be asked: statements on what can't be followed go past
/// the cache then.
pub(crate) async fn refusal(file: &Path, config: &Config, gateway: &Gateway) -> Option<Report> {
    let Ok((problems, silent)) = tokio::time::timeout(PATIENCE, gateway.check_cache()).await else {
        tracing::warn!("the cache rules aren't checked: no answer within {PATIENCE:?}");
        return None;
    };
    for (database, error) in silent {
        tracing::warn!(database, %error, "the cache rules aren't checked");
    }
    let (broken, weak): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.is_broken);
    for problem in weak {
        tracing::warn!("{problem}");
    }
    if broken.is_empty() {
        return None;
    }
    let diagnostics = broken.iter().map(|problem| diagnostic(problem, &config.cache)).collect();
    Some(Report::of_file(file, diagnostics))
}

/// The problem at the place of the table, or of the rule.
pub(crate) fn diagnostic(problem: &RuleProblem, rules: &[CacheRule]) -> Diagnostic {
    let rule = rules.get(problem.rule);
    let table = rule.and_then(|rule| rule.table_spans.get(problem.table?).cloned());
    let span = table.or_else(|| rule.map(|rule| rule.span.clone())).unwrap_or_default();
    Diagnostic::new(span, problem.to_string(), HELP)
}
