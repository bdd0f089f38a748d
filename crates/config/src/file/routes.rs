//! Where statements on PostgreSQL's own tables go.
//!
//! A routing condition is a field of [`When`]; `resolve/routes.rs` reads it, and
//! `gateway/shared.rs` (`routes_to_replica`) acts on it.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where some statements go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which statements; all of these must hold.
    pub when: When,
    /// The PostgreSQL store's name, or that name with .replicas. What may write goes to the primary
    /// all the same.
    pub to: String,
}

/// Which statements a route is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Statements of this user.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Statements that only read, or statements that may write.
    pub kind: Option<KindName>,
    /// Statements that name only these tables, which are PostgreSQL's own.
    #[schemars(with = "Option<Vec<String>>")]
    pub tables: Option<Vec<Option<String>>>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindName {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}
