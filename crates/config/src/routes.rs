//! Which server relational statements go to.

use flywheel_types::TableName;

/// Sends the statements that meet all of its conditions to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Only this user's.
    pub user: Option<String>,
    /// Only statements of this kind.
    pub kind: Option<StatementKind>,
    /// Only statements all of whose tables are among these; empty: any.
    pub tables: Vec<TableName>,
    /// Where they go.
    pub to: Target,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The primary: `to = "main"`.
    Primary,
    /// The replicas in turn: `to = "main.replicas"`.
    Replicas,
}
