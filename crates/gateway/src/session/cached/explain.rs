//! What EXPLAIN says of the cache.

use flywheel_answers::Memo;
use flywheel_sql::Verb;
use flywheel_statement::Analysis;

use crate::shared::Shared;

/// Tells what is kept of a statement's answers.
pub(in crate::session) struct ExplainedCache<'s> {
    pub(in crate::session) shared: &'s Shared,
    pub(in crate::session) user: &'s str,
    pub(in crate::session) has_server: bool,
    pub(in crate::session) is_pinned: bool,
}

impl ExplainedCache<'_> {
    /// Sees to it that EXPLAIN can tell what the statement's answers depend on.
    pub(in crate::session) async fn expect(&self, analysis: &Analysis) {
        if let Some(caching) = &self.shared.caching
            && !self.has_server
            && analysis.statements.iter().any(|statement| statement.verb == Verb::Explain)
            && let Err(error) = caching.graph(self.shared.pool()).await
        {
            tracing::debug!(%error, "the catalogue can't be read for EXPLAIN");
        }
    }

    /// The line of EXPLAIN that tells whether the statement's answers are kept.
    pub(in crate::session) fn line(&self, analysis: &Analysis, position: usize) -> Option<String> {
        let caching = self.shared.caching.as_ref()?;
        let statement = analysis
            .statements
            .get(position)
            .filter(|statement| statement.verb == Verb::Explain)?;
        // What is no list of lines has no place for another one.
        let is_other = ["json", "xml", "yaml"]
            .iter()
            .any(|format| statement.has_keyword(&analysis.text, format));
        if is_other {
            return None;
        }
        let start = statement.tokens.iter().position(|token| {
            ["select", "with", "values", "table", "insert", "update", "delete", "merge"]
                .iter()
                .any(|verb| token.is_keyword(&analysis.text, verb))
        })?;
        let inner = &analysis.text[statement.tokens[start].range.start..statement.range.end];
        // Its hints may stand before it.
        let before = &analysis.text[statement.range.start..statement.tokens[start].range.start];
        let hints: Vec<_> = before
            .split_inclusive("*/")
            .filter_map(|part| part.find("/*").map(|at| &part[at..]))
            .filter(|comment| comment.ends_with("*/"))
            .collect();
        let text = format!("{}{inner}", hints.concat());
        let inner = self.shared.analyses.of_query(&text).analysis;
        let fingerprint =
            inner.statements.first().map(|first| first.shape(&inner.text)).unwrap_or_default();
        let Some((rule, lifetimes)) = caching.rule(&inner, self.user) else {
            return Some(format!("Cache: no rule (fingerprint {fingerprint:016x})"));
        };
        let what = &caching.rules()[rule];
        let refused = if Memo::of(&inner).hint(&inner).refuses {
            Some("the statement says so".to_owned())
        } else if self.is_pinned {
            Some("the session keeps its server connection".to_owned())
        } else {
            caching
                .known_graph()
                .and_then(|graph| caching.reading(&inner, &graph).refused_for(what))
        };
        Some(match refused {
            Some(why) => format!(
                "Cache: rule {}, but not kept: {why} (fingerprint {fingerprint:016x})",
                rule + 1
            ),
            None => format!(
                "Cache: rule {}, for {:?}, until {} (fingerprint {fingerprint:016x})",
                rule + 1,
                lifetimes.ttl,
                match (what.max_lag, what.by_writes, caching.sharing()) {
                    (Some(max_lag), ..) => format!(
                        "it is written here, or its store tells within {max_lag:?} that it was elsewhere"
                    ),
                    (None, true, Some(sharing)) => {
                        let max_lag = sharing.max_lag();
                        format!(
                            "it is written here, or another gateway tells within {max_lag:?} that it was there"
                        )
                    }
                    (None, true, None) => "it is written".to_owned(),
                    (None, false, _) => "then whatever is written".to_owned(),
                }
            ),
        })
    }
}
