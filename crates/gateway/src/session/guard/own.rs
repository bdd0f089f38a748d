//! Guarded work of Flywheel's own: what it has PostgreSQL run for a statement on store tables, and
//! COMMIT.

use flywheel_execute::twin::CONSTRAINTS;

use super::{Guard, NO_TABLE};
use crate::session::{Failure, Outcome};

impl Guard<'_> {
    /// Begins what Flywheel runs for a statement. `None`: it needn't be guarded. Otherwise whether
    /// a transaction was begun.
    pub(crate) async fn begin(&mut self, text: &str) -> Outcome<Option<bool>> {
        let analysis = self.session.shared.analyses.of(text);
        if !self.session.proofs().must_guard(&analysis) {
            return Ok(None);
        }
        self.begin_marks(NO_TABLE).await.map(Some)
    }

    /// Keeps the marks, in a transaction that is begun where there is none.
    pub(crate) async fn begin_marks(&mut self, changing: &str) -> Outcome<bool> {
        let own_block = self.session.transaction.is_idle();
        if own_block {
            self.session.own_statements().on_server("BEGIN").await?;
        }
        self.session.server().await?;
        self.session.guard_messages().put_mark(changing, None).await?;
        let marked = self.ask_quietly().await;
        if own_block && matches!(marked, Err(Failure::Statement(_))) {
            self.session.own_statements().on_server("ROLLBACK").await?;
        }
        marked.map(|()| own_block)
    }

    pub(super) async fn ask_quietly(&mut self) -> Outcome<()> {
        self.session.guard_messages().put_sync();
        self.session.send_to_server().await?;
        let quiet = self.session.guard_messages().read_quietly().await?;
        self.session.follow_server();
        if quiet.first == "1" {
            self.note_definition(false);
        }
        match quiet.failed {
            Some(error) => {
                self.session.guard_messages().forget_guards();
                Err(self.session.guard_messages().guard_error(error).into())
            }
            None => Ok(()),
        }
    }

    /// Ends it: what it has done stays when it has left the twins alone.
    pub(crate) async fn end<T>(&mut self, guard: Option<bool>, done: Outcome<T>) -> Outcome<T> {
        let Some(own_block) = guard else { return done };
        let checked = match done {
            Ok(done) => self.check_now(own_block).await.map(|()| done),
            Err(failure) => Err(failure),
        };
        self.session.guarding.in_block |= !own_block;
        if own_block && !matches!(checked, Err(Failure::Session(_))) {
            self.session
                .own_statements()
                .on_server(if checked.is_ok() { "COMMIT" } else { "ROLLBACK" })
                .await?;
        }
        checked
    }

    pub(super) async fn check_now(&mut self, at_end: bool) -> Outcome<()> {
        if at_end {
            self.session.own_statements().on_server(CONSTRAINTS).await?;
        }
        self.session.guard_messages().put_check(None).await?;
        self.ask_quietly().await
    }

    /// Before COMMIT of a block: what has waited for it.
    pub(in crate::session) async fn check_waiting(&mut self) -> Outcome<()> {
        if !self.session.proofs().waits_for_commit() {
            return Ok(());
        }
        self.session.guarding.in_block = false;
        self.begin_marks(NO_TABLE).await?;
        self.check_now(true).await
    }
}
