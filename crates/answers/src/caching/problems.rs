//! What is wrong with the rules, as a database stands.

use std::fmt;

use flywheel_postgres::dependencies::Dependencies;
use flywheel_postgres::{Connection, ServerError};
use futures_util::future::join_all;

use super::Caching;
use super::graph::{Graph, Reached, ReadFrom, full_name};
use super::sources::StoreTables;
use crate::options::CacheRule;

/// Something that is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The rule's place in [`crate::options::Options::cache`].
    pub rule: usize,
    /// The table's place in the rule; `None`: it isn't one table's.
    pub table: Option<usize>,
    /// What it is, in a sentence.
    pub what: String,
    /// What changes there can't be followed: the rule asks for what can't be had. Otherwise it is
    /// only of less use than it looks like.
    pub is_broken: bool,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cache rule {}: {}", self.rule + 1, self.what)
    }
}

impl Graph {
    /// What is wrong with a rule's tables.
    fn problems(&self, at: usize, rule: &CacheRule) -> Vec<RuleProblem> {
        let mut problems = Vec::new();
        for (place, table) in rule.tables.iter().enumerate() {
            let mut tell = |is_broken: bool, what: String| {
                problems.push(RuleProblem { rule: at, table: Some(place), what, is_broken });
            };
            let found = self.find(&full_name(table));
            if found.is_empty() {
                // It may be made later.
                tell(false, format!("there is no table \"{table}\""));
            }
            for oid in found {
                if let Some(why) = self.why_not_followed(oid).filter(|_| rule.max_lag.is_some()) {
                    tell(true, format!("changes of \"{table}\" can't be followed: {why}"));
                    continue;
                }
                let mut from = ReadFrom::default();
                self.read(oid, &mut from);
                if let Some(why) = from.refused {
                    tell(false, format!("answers from \"{table}\" can't be kept: {why}"));
                } else if let Some(why) = from.lost.filter(|_| rule.by_writes) {
                    tell(true, format!("writes to \"{table}\" can't be followed: {why}"));
                    continue;
                }
                let mut reached = Reached::default();
                self.write(oid, false, &mut reached);
                if rule.by_writes && reached.anything {
                    let what = format!(
                        "a write to \"{table}\" runs what can't be followed, and ends every answer of the database"
                    );
                    tell(false, what);
                }
            }
        }
        problems
    }
}

impl Caching {
    /// What is wrong with the rules that are for this database. Whoever asks is the one to tell it:
    /// it isn't logged again.
    pub async fn check(
        &self,
        connection: &mut Connection,
    ) -> Result<Vec<RuleProblem>, ServerError> {
        let graph = Graph::new(0, Dependencies::load(connection).await?);
        let mut problems = self.problems(&graph);
        self.told().clone_from(&problems);
        if let Some(follower) = &self.follower {
            let rules = self.kept.rules.iter().enumerate();
            let followed = rules.filter(|(at, _)| self.follower_of(*at).is_some());
            match follower.check().await {
                Ok(unfit) => {
                    for (rule, named) in followed {
                        for (place, table) in named.tables.iter().enumerate() {
                            let is_known = problems
                                .iter()
                                .any(|known| known.rule == rule && known.table == Some(place));
                            let Some(unfit) = unfit
                                .iter()
                                .find(|unfit| unfit.table == *table)
                                .filter(|_| !is_known)
                            else {
                                continue;
                            };
                            problems.push(RuleProblem {
                                rule,
                                table: Some(place),
                                what: format!(
                                    "changes of \"{table}\" can't be followed: {}; {}",
                                    unfit.what, unfit.hint
                                ),
                                is_broken: unfit.exists,
                            });
                        }
                    }
                }
                // That isn't the rules' fault, and may pass.
                Err(error) => problems.extend(followed.take(1).map(|(rule, _)| RuleProblem {
                    rule,
                    table: None,
                    what: format!("changes of PostgreSQL's tables can't be followed: {error}"),
                    is_broken: false,
                })),
            }
        }
        Ok(problems)
    }

    /// Which of the rules' tables in stores couldn't be followed now. It may be mended without
    /// another configuration.
    pub async fn check_sources(&self, catalogue: &dyn StoreTables) -> Vec<RuleProblem> {
        let Some(sources) = &self.sources else { return Vec::new() };
        let checked = join_all(sources.all.iter().map(|source| source.check(catalogue))).await;
        let mut problems = Vec::new();
        for (source, what) in sources.all.iter().zip(checked) {
            let rules = self.kept.rules.iter().enumerate();
            let place = |(rule, of): (usize, &CacheRule)| {
                Some((rule, of.tables.iter().position(|table| source.tells_of(table))?))
            };
            let mut followed = rules.filter(|(_, rule)| rule.max_lag.is_some()).filter_map(place);
            if let (Some(what), Some((rule, table))) = (what, followed.next()) {
                problems.push(RuleProblem { rule, table: Some(table), what, is_broken: false });
            }
        }
        problems
    }

    /// What is wrong with the rules, as far as the graph knows; what wasn't known before is logged.
    pub(super) fn look_for_problems(&self, graph: &Graph) {
        let problems = self.problems(graph);
        let mut told = self.told();
        for problem in problems.iter().filter(|problem| !told.contains(problem)) {
            tracing::warn!(database = self.database, "{problem}");
        }
        *told = problems;
    }

    fn problems(&self, graph: &Graph) -> Vec<RuleProblem> {
        let rules =
            self.kept.rules.iter().enumerate().filter(|(_, rule)| self.is_of_database(rule));
        rules.flat_map(|(at, rule)| graph.problems(at, rule)).collect()
    }

    /// What is known to be wrong with a rule, a sentence each.
    pub(super) fn problems_of(&self, rule: usize) -> Vec<String> {
        let told = self.told();
        let known =
            told.iter().filter(|problem| problem.rule == rule).map(|problem| problem.what.clone());
        let postgres = self.follower_of(rule).and_then(|follower| follower.problem());
        let sources = self.sources.as_ref();
        let stores = sources.map(|sources| sources.problems(rule)).unwrap_or_default();
        known.chain(postgres).chain(stores).collect()
    }
}
