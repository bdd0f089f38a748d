//! What came of the rules, in numbers: SHOW CACHE and those who watch over the gateway are told the
//! same.

use std::time::Duration;

use flywheel_cache::Reason;

use super::Caching;
use super::rules::condition;

/// What came of a rule.
#[derive(Debug, Clone)]
pub struct RuleFigures {
    /// Its number in the configuration, from 1.
    pub number: usize,
    /// What it is for.
    pub condition: String,
    /// Names and values of its counters and of what it keeps now.
    pub values: Vec<(&'static str, i64)>,
    /// How often statements went past the cache, for each reason.
    pub bypasses: Vec<(Reason, u64)>,
    /// How old the news of changes past this gateway may be, where the rule needs them and it is
    /// known.
    pub lag: Option<Duration>,
    /// How much of its log PostgreSQL keeps for them, in bytes, where the rule needs them.
    pub retained: Option<u64>,
    /// What is known to be wrong with it, a sentence each.
    pub problems: Vec<String>,
}

impl Caching {
    /// What came of the rules until now.
    pub fn figures(&self) -> Vec<RuleFigures> {
        let cache = self.cache();
        let rules = self.rules().iter().enumerate();
        let figures = rules.map(|(at, rule)| {
            let counters = cache.counters(at);
            RuleFigures {
                number: at + 1,
                condition: condition(rule),
                values: counters.values(),
                bypasses: counters.bypasses(),
                lag: self.lag(at),
                retained: self.follower_of(at).map(|follower| follower.retained()),
                problems: self.problems_of(at),
            }
        });
        figures.collect()
    }
}
