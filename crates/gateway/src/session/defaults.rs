//! What is reset on a server connection is set to the value that the client has begun with
//! (`parts/settings.rs`), behind the statement that resets it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use flywheel_postgres::{PORTAL_STEPS, Portal};
use flywheel_sql::SessionEffect;
use flywheel_statement::Analysis;
use flywheel_wire::{Frame, PgError, frame, sqlstate};
use postgres_protocol::message::frontend as message;

use super::parts::Resets;
use super::step::Step;
use super::{Outcome, Session};

/// What a session's settings are reset to.
pub(super) struct Defaults<'s> {
    pub(super) session: &'s mut Session,
}

impl Defaults<'_> {
    /// A text is about to be carried out. Where it shows what settings are reset to, its connection
    /// must be one that has begun with the client's; where it shows whether there are temporary
    /// objects, one on which others have made none.
    pub(super) fn note_shown(&mut self, analysis: &Analysis) {
        let (session, shown) = (&mut *self.session, &analysis.shown);
        let is_first = !session.has_server();
        session.upstream.begins_anew =
            is_first && session.settings.shows_startup(shown, shown.settings);
        session.upstream.begins_without_temporary = shown.temporary && is_first;
    }

    /// Refuses a text that needs a connection which has begun with the client's settings, where
    /// another one is held.
    pub(super) fn check_shown(&self, analysis: &Analysis) -> Result<(), PgError> {
        let (session, shown) = (&*self.session, &analysis.shown);
        let is_other = || session.upstream.lease().is_some_and(|lease| !lease.has_own_startup());
        if !session.settings.shows_startup(shown, shown.startup) || !is_other() {
            return Ok(());
        }
        let message = "what settings are reset to isn't known in a transaction block of a client \
                       that has connected with settings of its own";
        Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint("Send the statement outside of a transaction block."))
    }

    /// Has the server restore, after a statement that it has carried out. What it reports meanwhile
    /// is told once, as it is in the end.
    pub(super) async fn restore(&mut self, effect: &SessionEffect) -> Outcome<()> {
        let Some(restoring) = self.session.settings.restoring(effect) else { return Ok(()) };
        self.session.upstream.lose_unnamed();
        let lease = self.session.server().await?;
        lease.query(&restoring).await.map_err(|error| self.session.server_failed(&error))?;
        self.session.follow_server();
        Ok(())
    }

    /// Statement by statement, where some reset what the client has begun with. As PostgreSQL, it
    /// reports settings once, when all statements of the text have run.
    pub(super) async fn run_restored(&mut self, analysis: &Arc<Analysis>) -> Outcome<()> {
        if self.session.settings.resets(analysis) == Resets::Nothing {
            self.session.settings.reports.begin_text();
            let done = self.session.queries().run_statements(analysis).await;
            let names = self.session.settings.reports.end_text();
            self.session.settings.tell(
                names,
                self.session.upstream.lease(),
                &mut self.session.client.out,
            );
            self.session.report_settings();
            return done;
        }
        self.session.settings.reports.begin_silence();
        let done = self.session.queries().run_statements(analysis).await;
        self.session.settings.reports.end_silence();
        self.session.report_settings();
        done
    }

    /// Sends the same behind an Execute, in the same write.
    pub(super) async fn put_restoring(
        &mut self,
        effect: &SessionEffect,
        steps: &mut VecDeque<Step>,
    ) -> Outcome<()> {
        let Some(restoring) = self.session.settings.restoring(effect) else { return Ok(()) };
        let portal = Portal { sql: &restoring, ..Portal::default() };
        let put = self.session.server().await?.put_portal(&portal);
        put.map_err(|error| self.session.server_failed(&error))?;
        steps.extend((0..=PORTAL_STEPS).map(|_| Step::Hidden));
        Ok(())
    }
}

/// A Query with this text. `None`: there is a zero byte in it.
pub(super) fn query_frame(text: &str) -> Option<Frame> {
    let mut out = BytesMut::new();
    message::query(text, &mut out).ok()?;
    frame::take(&mut out, usize::MAX).ok()?
}
