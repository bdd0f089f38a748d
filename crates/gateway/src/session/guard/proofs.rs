//! Which texts have to be guarded, as far as that is known without asking anybody.

use flywheel_execute::twin::Twins;
use flywheel_sql::{Pin, SessionEffect, Verb};
use flywheel_statement::{Analyses, Analysis};

use crate::session::parts::{Guarding, SessionSettings, Transaction};

/// What is known of the texts that a session runs.
pub(in crate::session) struct Proofs<'s> {
    pub(in crate::session) twins: &'s Twins,
    pub(in crate::session) analyses: &'s Analyses,
    pub(in crate::session) guarding: &'s Guarding,
    pub(in crate::session) settings: &'s SessionSettings,
    pub(in crate::session) transaction: &'s Transaction,
}

/// The places of a text's statements that declare a cursor WITH HOLD.
pub(super) fn held_cursors(analysis: &Analysis) -> impl Iterator<Item = usize> {
    (0..analysis.statements.len())
        .filter(|at| analysis.statements[*at].session.pins().contains(&Pin::HeldCursor))
}

impl Proofs<'_> {
    /// Whether a text has to be guarded.
    pub(in crate::session) fn must_guard(&self, analysis: &Analysis) -> bool {
        if self.twins.is_empty() || self.transaction.has_failed() {
            return false;
        }
        if let [only] = &analysis.statements[..]
            && matches!(only.verb, Verb::Savepoint | Verb::RollbackTo | Verb::Release)
        {
            // It runs nothing, and would be no error in a transaction of the guard's.
            return false;
        }
        if self.transaction.is_idle()
            && let [only] = &analysis.statements[..]
            && only.verb == Verb::Declare
            && only.session == SessionEffect::None
        {
            // Outside a block it is an error.
            return false;
        }
        // What its names are isn't read here.
        if !self.settings.charset().is_utf8() && !analysis.text.is_ascii() {
            return true;
        }
        if !self.twins.is_harmless(analysis, self.guarding.sees_own_definitions(), || {
            self.settings.reads_escapes()
        }) {
            return true;
        }
        let goes_on = |word| {
            analysis.statements.iter().any(|statement| statement.has_keyword(&analysis.text, word))
        };
        self.guarding.in_block && (goes_on("fetch") || goes_on("move"))
    }

    /// Whether a text was proved by what was read for the message at hand.
    pub(super) fn is_proved_now(&self, analysis: &Analysis) -> bool {
        let read = self.guarding.read.as_ref().filter(|_| !self.guarding.sees_own_definitions());
        !self.guarding.in_block
            && read.is_some_and(|reach| {
                Twins::is_harmless_by(reach, analysis, || self.settings.reads_escapes())
            })
    }

    /// Whether the statements of a text are to be guarded one by one, since it ends or begins
    /// transactions.
    pub(in crate::session) fn is_guarded_apart(&self, analysis: &Analysis) -> bool {
        let mut statements = analysis.statements.iter();
        // The marks are settings too.
        let resets = |effect: &SessionEffect| {
            matches!(effect, SessionEffect::Reset { name: None } | SessionEffect::DiscardAll)
        };
        analysis.statements.len() > 1
            && statements.any(|statement| {
                statement.verb.is_transaction_control() || resets(&statement.session)
            })
            && self.must_guard(analysis)
    }

    /// Whether a text declares a cursor WITH HOLD that must be guarded.
    pub(in crate::session) fn holds_unproved(&self, analysis: &Analysis) -> bool {
        held_cursors(analysis).any(|at| {
            let single = self.analyses.of(analysis.statement_text(at));
            self.must_guard(&single) && !self.is_proved_now(&single)
        })
    }

    /// Whether something may run at COMMIT that isn't proved to leave the twins alone.
    pub(in crate::session) fn waits_for_commit(&self) -> bool {
        self.guarding.in_block && self.transaction.is_well()
    }

    /// Whether a statement that controls the transaction has more to do than the server can: there
    /// are writes to store tables.
    pub(in crate::session) fn must_handle(&self, verb: Verb) -> bool {
        // A BEGIN in a block is PostgreSQL's to warn of.
        let has_work =
            !self.transaction.block.writes.is_empty() || self.transaction.block.confirms_at(verb);
        verb.is_transaction_control() && verb != Verb::Begin && has_work
            || matches!(verb, Verb::Commit | Verb::PrepareTransaction) && self.waits_for_commit()
    }
}
