//! What was sent to a server, as its answer is read.

use std::sync::Arc;

use bytes::Bytes;
use flywheel_execute::PreparedStatement;
use flywheel_statement::Analysis;
use flywheel_wire::PgError;

/// What the next part of the server's answer belongs to.
#[derive(Debug)]
pub(super) enum Step {
    /// An answer that Flywheel gives itself, in its turn, and what the message has changed.
    Local(Bytes, Option<Undo>),
    /// Parse of the statement of this name on the server, and what it has changed for the client;
    /// its answer is kept back when Flywheel put it in.
    Parse { server_name: String, undo: Option<Undo> },
    /// What the server fails at, and the error that the client is told in its place.
    Fail(PgError),
    /// Close that Flywheel put in.
    Hidden,
    /// What guards a statement, before it or behind it; how many times it closes something; the
    /// statement that Flywheel prepares, and keeps, for that.
    Guard { checks: bool, closes: usize, prepares: Option<String> },
    /// Bind of this statement, and its name for the client.
    Bind { statement: Arc<PreparedStatement>, client_name: String },
    /// Describe of a portal with this statement.
    DescribePortal(Arc<PreparedStatement>),
    /// Describe of a cursor, Bind of a statement that only the server knows, or Close: one message.
    Short,
    /// Describe of this statement: ParameterDescription, then RowDescription or NoData; kept back
    /// when Flywheel put it in.
    DescribeStatement { statement: Arc<PreparedStatement>, show: bool },
    /// Describe of a statement that only the server knows.
    DescribeOfSql,
    /// Execute of this statement: rows, then its end. `None`: of a portal that only the server
    /// knows.
    Execute(Option<Arc<PreparedStatement>>),
    /// A simple Query, up to ReadyForQuery, which is the client's only when it asked for one.
    /// `is_part`: it is one of a text's statements by itself, as it stands in the text.
    Query { analysis: Arc<Analysis>, first: usize, show_ready: bool, is_part: bool },
    /// FunctionCall, up to ReadyForQuery, which is told later where a batch in front of it is its
    /// transaction.
    FunctionCall { show_ready: bool },
    /// Sync's ReadyForQuery.
    Ready { show: bool },
}

/// What a message has done to the client's statements, which is undone when the server ignores the
/// message after an error before it.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) name: String,
    /// The statement of this name before.
    pub(super) before: Option<Arc<PreparedStatement>>,
}

/// What came of a batch.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Drained {
    /// An ErrorResponse came.
    pub(super) failed: bool,
    /// A COPY FROM STDIN has swallowed the Sync that was sent behind it: the client will send
    /// another.
    pub(super) sync_swallowed: bool,
}
