//! Answers that are kept, and what several gateways have in common.

use schemars::JsonSchema;
use serde::Deserialize;

use super::size::Size;

/// Which answers are kept, and for how long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// To which queries; all of these must hold.
    pub when: CacheWhen,
    /// How long an answer is given from memory, such as "30s".
    #[schemars(example = "30s")]
    pub ttl: String,
    /// For how long after `ttl` an answer is still given while one client reads it anew. Default:
    /// not at all.
    #[schemars(example = "10s")]
    pub stale_while_revalidate: Option<String>,
    /// For how long after `ttl` an answer is still given when the server that has it can't be
    /// reached. Default: not at all.
    #[schemars(example = "5m")]
    pub stale_if_error: Option<String>,
    /// What ends an answer before its time. Default: writes.
    pub invalidate: Option<InvalidateName>,
    /// For `invalidate = "replication"`: while it isn't known what was written longer ago, no
    /// answer is given from memory. Default: 1s.
    #[schemars(example = "1s")]
    pub max_lag: Option<String>,
    /// The longest answer that is kept, such as "1MB" or a number of bytes. Default: 1MB.
    pub max_result_size: Option<Size>,
}

/// Which queries a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheWhen {
    /// Queries that name only these tables and views, wherever their rows are.
    #[schemars(with = "Option<Vec<String>>")]
    pub tables: Option<Vec<Option<String>>>,
    /// Queries of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Queries in this database.
    #[schemars(length(min = 1))]
    pub database: Option<String>,
    /// Queries with this text. `*` stands for anything; case and white space don't count.
    #[schemars(length(min = 1))]
    pub pattern: Option<String>,
    /// Queries with this fingerprint, as EXPLAIN prints it. Texts that differ only in their
    /// constants have the same.
    #[schemars(length(min = 1))]
    pub fingerprint: Option<String>,
    /// Queries that ask for it with a comment: `/* flywheel: cache */` or
    /// `/* flywheel: cache ttl=30s */`.
    pub hint: Option<bool>,
}

/// What ends an answer before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvalidateName {
    /// Writes through this gateway to what it was read from.
    Writes,
    /// Writes to what it was read from, whoever makes them, as PostgreSQL's logical replication,
    /// Redis' client tracking and DynamoDB Streams tell them.
    Replication,
    /// Nothing.
    None,
}

/// What several gateways have in common.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    /// The Redis store over which they tell each other what their clients have written.
    pub store: String,
    /// Gateways of the same name in the same Redis belong together. Default: flywheel.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// How old the news from the other gateways may be for answers with `invalidate = "writes"` to
    /// be given. Default: 2s.
    #[schemars(example = "2s")]
    pub max_lag: Option<String>,
    /// Whether answers are kept in that Redis too, so that what one gateway has read serves all.
    /// Default: false.
    pub answers: Option<bool>,
    /// Longer answers are compressed there, such as "4kB" or a number of bytes. Default: 4kB.
    pub compress_above: Option<Size>,
}
