//! What can't be guarded is proved instead: where the definitions aren't known, or the session sees
//! others than everybody, they are read for it. CREATE INDEX reads the table that it is made on, so
//! that the counters move. CALL and DO may COMMIT, which they can't in the guard's transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flywheel_execute::twin::Twins;
use flywheel_sql::Verb;
use flywheel_statement::Analysis;

use super::Proving;
use crate::session::Outcome;
use crate::session::parts::Message;

/// Whether a text is a single CALL or DO.
fn may_commit(analysis: &Analysis) -> bool {
    let [only] = &analysis.statements[..] else { return false };
    let is_first = |word| only.tokens[0].is_keyword(&analysis.text, word);
    !only.tokens.is_empty() && (is_first("call") || is_first("do"))
}

impl Proving<'_> {
    /// Whether a text that is about to be sent has to be guarded.
    pub(in crate::session) async fn must_guard_now(
        &mut self,
        analysis: &Arc<Analysis>,
    ) -> Outcome<bool> {
        Ok(self.session.proofs().must_guard(analysis)
            && !self.proves_unguardable(std::slice::from_ref(analysis)).await?)
    }

    /// Whether a batch that is about to be sent can't be guarded, and is proved.
    pub(in crate::session) async fn proves_batch(&mut self, batch: &[Message]) -> Outcome<bool> {
        if self.session.shared.stores.twins.is_empty() || self.session.upstream.is_unsynced() {
            return Ok(false);
        }
        match self.bound_in(batch) {
            Some(analyses)
                if analyses.iter().any(|analysis| self.session.proofs().must_guard(analysis)) =>
            {
                self.proves_unguardable(&analyses).await
            }
            _ => Ok(false),
        }
    }

    /// What a batch binds; `None`: it executes something that was bound before.
    fn bound_in(&self, batch: &[Message]) -> Option<Vec<Arc<Analysis>>> {
        let (mut parsed, mut bound) = (HashMap::new(), HashSet::new());
        let mut analyses = Vec::new();
        for message in batch {
            match message {
                Message::Parse(parse) => {
                    parsed.insert(&parse.name, self.session.shared.analyses.of(&parse.query));
                }
                Message::Bind(bind) => {
                    let known = || {
                        self.session
                            .prepared
                            .statements
                            .get(&bind.statement)
                            .map(|statement| &statement.analysis)
                    };
                    analyses.push(parsed.get(&bind.statement).or_else(known)?.clone());
                    bound.insert(&bind.portal);
                }
                Message::Execute(execute) if !bound.contains(&execute.portal) => return None,
                _ => {}
            }
        }
        (!bound.is_empty()).then_some(analyses)
    }

    /// Whether what can't be guarded is proved. False for everything that can be.
    async fn proves_unguardable(&mut self, analyses: &[Arc<Analysis>]) -> Outcome<bool> {
        let verbs = || {
            analyses
                .iter()
                .flat_map(|analysis| &analysis.statements)
                .map(|statement| statement.verb)
        };
        // No other statement may change what is read here before the index is made.
        let are_indexes = verbs().any(|verb| verb == Verb::CreateIndex)
            && verbs().all(|verb| matches!(verb, Verb::CreateIndex | Verb::Begin));
        let may_commit =
            self.session.transaction.is_idle() && matches!(analyses, [only] if may_commit(only));
        if !are_indexes && !may_commit {
            return Ok(false);
        }
        let shared = self.session.shared.clone();
        let alone = self.session.guarding.sees_own_definitions();
        let reach = shared.stores.twins.reach(self.session.server().await?, alone).await;
        let reach = reach.map_err(|error| self.session.server_failed(&error))?;
        self.session.upstream.lose_unnamed();
        self.session.follow_server();
        Ok(analyses.iter().all(|analysis| Twins::is_proved_by(analysis, &reach)))
    }
}
