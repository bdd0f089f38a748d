//! Settings that a session has by other means than its own SET: functions, triggers, code of any
//! kind. They are asked for before the server connection goes to somebody else, and replayed from
//! then on like any other.
//!
//! A connection changes hands only when what ran on it is known to have left nothing, or what it
//! has left is known. The catalogue says which functions, views, tables and domains lead to code
//! that may change the session (`postgres/code.rs`); a text none of whose words is such a name is
//! proved by its words, once, so the relay of a plain statement pays for two comparisons of
//! numbers. After any other text, and before the connection is given back, the server is asked for
//! the settings that the code can set, by name: `pg_settings` doesn't list settings of one's own.
//! Where the names can't be known the connection stays with its client. A text that names what
//! isn't in the catalogue as it was read, or any text after a definition, makes the session look
//! again before it gives its connection back.

use std::sync::Arc;
use std::time::Duration;

use flywheel_sql::{Pin, SessionEffect, Statement, Traces, Verb};
use flywheel_statement::Analysis;

use super::parts::{Learning, creates_temporary};
use super::{Outcome, Session};
use crate::options::PoolMode;

/// How long a connection to the primary is waited for, to look at the catalogue on behalf of a
/// replica's.
const SHORTLY: Duration = Duration::from_millis(20);
/// A session that finds out what has run on its server connection.
pub(super) struct Learner<'s> {
    pub(super) session: &'s mut Session,
}

impl Learner<'_> {
    /// A statement was carried out.
    pub(super) fn note_run(&mut self, analysis: &Arc<Analysis>) {
        if !analysis.is_proved() {
            self.session.upstream.learning.add_unproved(analysis);
        }
    }

    /// A definition was carried out: it may make code, or have others run it.
    pub(super) fn note_defined(&mut self, statement: &Statement, text: &str) {
        if statement.verb == Verb::OtherDefinition
            || self.session.shared.analyses.suspects().concern(text, statement)
        {
            self.session.upstream.learning.defines = true;
            // Others look too, should they be at rest before this session is.
            self.session.shared.analyses.set_stale(true);
        }
    }

    /// Names of settings that a statement is given by its parameters.
    pub(super) fn note_portal_names(&mut self, portal: &str) -> Outcome<()> {
        let Some(portal) = self
            .session
            .prepared
            .portals
            .get(portal)
            .filter(|portal| !portal.statement.analysis.is_plain)
        else {
            return Ok(());
        };
        let first = portal.statement.analysis.statements.first();
        let Some(SessionEffect::Leaves(traces)) = first.map(|first| &first.session) else {
            return Ok(());
        };
        let name = |parameter: &usize| {
            let value = portal.values.get(*parameter).and_then(Option::as_ref);
            value.and_then(|value| std::str::from_utf8(value).ok()).map(str::to_lowercase)
        };
        let names: Vec<_> = traces.parameters.iter().map(name).collect();
        if traces.is_unknown {
            // What the code runs may be a value.
            let texts =
                portal.values.iter().flatten().filter_map(|value| std::str::from_utf8(value).ok());
            let of_values: Vec<_> = texts.map(Traces::of_code).collect();
            of_values.iter().for_each(|traces| self.note_traces(traces));
        }
        for name in names {
            match name.as_deref() {
                Some("session_authorization") => self.session.pin(Pin::SessionUser),
                Some("seed") => self.session.pin(Pin::RandomSeed),
                Some(name) => self.session.upstream.learning.add(&Traces::named(name)),
                // set_config(NULL, …) is an error.
                None => {}
            }
        }
        Ok(())
    }

    /// Sees to it that all is known of what has run on the held connection, before it may go to
    /// somebody else. The server is at rest, outside a block.
    pub(super) async fn learn(&mut self) {
        if !self.session.upstream.has_connection() {
            self.session.upstream.learning = Learning::default();
            return;
        }
        if !self.session.upstream.learning.unproved.is_empty()
            || self.session.upstream.learning.defines
            || self.session.shared.analyses.is_stale()
        {
            self.prove().await;
        }
        if self.session.upstream.pins.may_be_gone() {
            self.session.upstream.pins.note_look();
            // What is created there is temporary without saying so.
            if !self.session.setting("search_path").is_some_and(creates_temporary) {
                self.session.upstream.look_for_pins().await;
            }
        }
        if !self.session.is_pinned() && !self.session.upstream.learning.is_empty() {
            // Where it can't be asked the connection stays with its client, whose next statement
            // will be told why.
            if self.session.upstream.ask_for_settings(&mut self.session.settings).await.is_err() {
                self.session.pin(Pin::Configuration);
            }
        }
    }

    /// Looks at the catalogue where that may have changed, and finds out what texts leave behind by
    /// what it says now.
    async fn prove(&mut self) {
        let unproved = std::mem::take(&mut self.session.upstream.learning.unproved);
        let defines = std::mem::take(&mut self.session.upstream.learning.defines);
        // Nobody else gets the connection before DISCARD ALL.
        let stays = self.session.identity.mode == PoolMode::Session;
        let lacks = unproved.iter().any(|analysis| analysis.lacks) && !stays;
        if lacks || defines || self.session.shared.analyses.is_stale() {
            self.session.shared.analyses.set_stale(false);
            if !self.look().await {
                // Whoever comes next looks again. What has run here isn't known: the server is
                // asked what it has left.
                self.session.shared.analyses.set_stale(true);
                self.session.upstream.learning.add_anything();
                self.session.pin(Pin::AdvisoryLock);
                self.session.upstream.pins.note_release();
                return;
            }
        }
        let version = self.session.shared.analyses.version();
        for analysis in unproved {
            if analysis.lacks && stays {
                continue;
            }
            let now = self.session.shared.analyses.of(&analysis.text);
            now.prove(version);
            if now.has_effects_of(&analysis) {
                analysis.prove(version);
                continue;
            }
            for statement in &now.statements {
                if let SessionEffect::Leaves(traces) = &statement.session {
                    self.note_traces(traces);
                } else if let [pin] = statement.session.pins() {
                    self.session.pin(*pin);
                    self.session.upstream.pins.note_release();
                }
            }
        }
    }

    /// Whether the catalogue could be looked at.
    async fn look(&mut self) -> bool {
        let shared = self.session.shared.clone();
        self.session.upstream.lose_unnamed();
        let Some(lease) = self.session.upstream.lease_mut() else { return false };
        if !lease.is_of_replica() {
            return shared.look_at_code(lease).await.is_ok();
        }
        // A replica may not have it yet.
        let pool = self.session.identity.access.servers().primary.pool.clone();
        match tokio::time::timeout(SHORTLY, pool.acquire_plain()).await {
            Ok(Ok(mut lease)) => shared.look_at_code(&mut lease).await.is_ok(),
            _ => false,
        }
    }

    /// Notes what code may have left behind.
    pub(super) fn note_traces(&mut self, traces: &Traces) {
        for pin in &traces.pins {
            self.session.pin(*pin);
        }
        if traces.is_unknown {
            // A text that code has put together may leave anything there: the server is asked what.
            self.session.pin(Pin::AdvisoryLock);
        }
        // It may have been taken away again by the same code.
        self.session.upstream.pins.note_release();
        self.session.upstream.learning.add(traces);
        // Names mean something else than anywhere before.
        self.session
            .transaction
            .block
            .set_local("set_config", &format!("{:x}", rand::random::<u128>()));
    }
}
