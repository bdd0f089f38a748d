//! The code of a database that may change sessions, as its catalogue has it.

use std::sync::{Mutex, PoisonError};

use flywheel_postgres::{Connection, Digest, ServerError};
use flywheel_statement::{Analyses, Code, Piece, Suspects};

/// What the catalogue was like when the code was read.
#[derive(Debug, Default)]
pub(crate) struct KnownCode(Mutex<Digest>);

fn piece(of: &flywheel_postgres::Piece) -> Piece<'_> {
    Piece { name: &of.name, language: &of.language, text: &of.text }
}

impl KnownCode {
    /// Empty: it hasn't been read.
    pub(crate) fn digest(&self) -> Digest {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the code anew.
    pub(crate) async fn load(
        &self,
        connection: &mut Connection,
        analyses: &Analyses,
    ) -> Result<(), ServerError> {
        let code =
            flywheel_postgres::Code::load(connection, |each| !piece(each).traces().is_empty())
                .await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have read it meanwhile.
        if *known != code.digest {
            analyses.set_suspects(Suspects::new(Code {
                pieces: code.pieces.iter().map(piece).collect(),
                uses: &code.uses,
                functions: code.functions,
                relations: code.relations,
            }));
            *known = code.digest;
        }
        Ok(())
    }
}
