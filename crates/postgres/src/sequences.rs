//! Whose the values are that `currval()` and `lastval()` give on a connection.

use std::sync::Arc;

use crate::{Connection, ServerError};

/// A session that uses connections; its clones are the same session.
#[derive(Debug, Clone, Default)]
pub struct Holder(Arc<()>);

impl Holder {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Who may have used sequences on a connection since it began, or since DISCARD.
#[derive(Debug, Default)]
pub(crate) enum Sequences {
    #[default]
    Unused,
    By(Holder),
    Mixed,
}

impl Connection {
    /// Notes that the session uses the connection from now on.
    pub fn note_holder(&mut self, holder: &Holder) {
        match &self.sequences {
            Sequences::Unused => self.sequences = Sequences::By(holder.clone()),
            Sequences::By(other) if other.is(holder) => {}
            Sequences::By(_) | Sequences::Mixed => self.sequences = Sequences::Mixed,
        }
    }

    /// Whether the last values of sequences are the session's, if there are any.
    #[must_use]
    pub fn has_sequences_of(&self, holder: &Holder) -> bool {
        matches!(&self.sequences, Sequences::By(other) if other.is(holder))
    }

    /// Does away with the last values of sequences that are others', or may be.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn discard_sequences_of_others(
        &mut self,
        holder: &Holder,
    ) -> Result<(), ServerError> {
        if !self.has_sequences_of(holder) {
            self.query("DISCARD SEQUENCES").await?;
            self.sequences = Sequences::By(holder.clone());
        }
        Ok(())
    }

    /// Notes that DISCARD ALL has left nothing.
    pub fn forget_sequences(&mut self) {
        self.sequences = Sequences::Unused;
    }
}
