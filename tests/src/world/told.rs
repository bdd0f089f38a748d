//! Errors as a client is told them.

use std::fmt::Debug;

/// What a statement's error says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// SQLSTATE.
    pub code: String,
    /// The message.
    pub message: String,
    /// The hint; empty when there is none.
    pub hint: String,
}

impl Told {
    /// The error of a statement that must fail with one of the server's.
    #[track_caller]
    pub fn by<T: Debug>(result: Result<T, tokio_postgres::Error>) -> Self {
        let error = result.expect_err("an error");
        let told =
            error.as_db_error().unwrap_or_else(|| panic!("no error of the server's: {error:?}"));
        Self {
            code: told.code().code().to_owned(),
            message: told.message().to_owned(),
            hint: told.hint().unwrap_or_default().to_owned(),
        }
    }

    /// Runs the statements, the last of which must fail.
    pub async fn of(client: &tokio_postgres::Client, sql: &str) -> Self {
        match client.batch_execute(sql).await {
            Ok(()) => panic!("no error: {sql}"),
            Err(error) => Self::by::<()>(Err(error)),
        }
    }

    /// Asserts its SQLSTATE and that its message or hint speaks of all of these.
    #[track_caller]
    pub fn is(&self, code: &str, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(
                self.message.contains(word) || self.hint.contains(word),
                "{word:?} in {self:?}"
            );
        }
    }
}
