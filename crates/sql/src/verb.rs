//! What a statement does, from its first words.

use crate::lex::Token;

/// The command that a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the SQL command of that name")]
pub enum Verb {
    /// No statement: white space and comments.
    Empty,
    /// SELECT, VALUES or TABLE.
    Select,
    /// WITH: a query or a data-modifying statement.
    With,
    Insert,
    Update,
    Delete,
    Merge,
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit,
    /// ROLLBACK or ABORT of the whole block.
    Rollback,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    Savepoint,
    /// RELEASE SAVEPOINT.
    Release,
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    Explain,
    Copy,
    CreateTable,
    DropTable,
    AlterTable,
    Truncate,
    CreateIndex,
    /// Any other CREATE, ALTER, DROP.
    OtherDefinition,
    Prepare,
    Execute,
    /// GRANT, REVOKE, COMMENT, ANALYZE, VACUUM: statements about a table that leave its rows alone.
    Administration,
    /// LOCK, CLUSTER, REINDEX.
    Lock,
    /// DECLARE of a cursor.
    Declare,
    /// SET, SHOW, LISTEN, …: everything else.
    Other,
}

impl Verb {
    /// The verb of a statement's tokens.
    #[must_use]
    pub fn of(text: &str, tokens: &[Token]) -> Self {
        let word = |position: usize| {
            tokens
                .get(position)
                .map_or(std::borrow::Cow::Borrowed(""), |token| token.identifier(text))
        };
        // A query may be wrapped in parentheses.
        let first = tokens
            .iter()
            .position(|token| text[token.range.clone()] != *"(")
            .unwrap_or(tokens.len());
        match (word(first).as_ref(), word(first + 1).as_ref()) {
            ("", _) => Self::Empty,
            ("select" | "values" | "table", _) => Self::Select,
            ("with", _) => Self::With,
            ("insert", _) => Self::Insert,
            ("update", _) => Self::Update,
            ("delete", _) => Self::Delete,
            ("merge", _) => Self::Merge,
            ("begin", _) | ("start", "transaction") => Self::Begin,
            ("commit" | "end", _) => Self::Commit,
            ("rollback" | "abort", next) => {
                let target = if matches!(next, "work" | "transaction") {
                    word(first + 2)
                } else {
                    word(first + 1)
                };
                if target == "to" { Self::RollbackTo } else { Self::Rollback }
            }
            ("savepoint", _) => Self::Savepoint,
            ("release", _) => Self::Release,
            ("prepare", "transaction") => Self::PrepareTransaction,
            ("explain", _) => Self::Explain,
            ("copy", _) => Self::Copy,
            ("truncate", _) => Self::Truncate,
            ("create", "table" | "unlogged" | "temp" | "temporary" | "global" | "local") => {
                // CREATE TEMP may also make a view or a sequence.
                if (1..4).any(|ahead| word(first + ahead) == "table") {
                    Self::CreateTable
                } else {
                    Self::OtherDefinition
                }
            }
            ("create", "index") | ("create", "unique") => Self::CreateIndex,
            ("drop", "table") => Self::DropTable,
            ("alter", "table") => Self::AlterTable,
            ("create" | "alter" | "drop", _) => Self::OtherDefinition,
            ("prepare", _) => Self::Prepare,
            ("execute", _) => Self::Execute,
            ("lock" | "cluster" | "reindex", _) => Self::Lock,
            ("declare", _) => Self::Declare,
            ("grant" | "revoke" | "comment" | "analyze" | "analyse" | "vacuum" | "security", _) => {
                Self::Administration
            }
            _ => Self::Other,
        }
    }

    /// Whether it makes, changes or removes a table, view or schema, so that names may mean
    /// something else.
    #[must_use]
    pub fn is_definition(self) -> bool {
        matches!(
            self,
            Self::CreateTable | Self::DropTable | Self::AlterTable | Self::OtherDefinition
        )
    }

    /// Whether it can start, end or mark a transaction block.
    #[must_use]
    pub fn is_transaction_control(self) -> bool {
        matches!(
            self,
            Self::Begin
                | Self::Commit
                | Self::Rollback
                | Self::RollbackTo
                | Self::Savepoint
                | Self::Release
                | Self::PrepareTransaction
        )
    }
}
