//! The rooms of a session: each is a type that has the session, or the parts of it that it needs,
//! for as long as its work takes. What is private to a room isn't the session's.

use flywheel_execute::Executor;

use super::Session;
use super::cached::{CacheCommands, ExplainedCache, Lookups};
use super::control::Control;
use super::copy::Copies;
use super::deallocation::Deallocation;
use super::defaults::Defaults;
use super::effects::Effects;
use super::encoding::Encoding;
use super::errors::Errors;
use super::extended::Batches;
use super::function_call::FunctionCalls;
use super::guard::{Guard, GuardMessages, GuardedBatch, Proofs, Proving};
use super::learning::Learner;
use super::listening::Listener;
use super::local::OwnAnswers;
use super::messages::TakenColumns;
use super::names::{StatementNames, WantedNames};
use super::own_statements::OwnStatements;
use super::refusals::Refusals;
use super::renewal::Renewing;
use super::replica::Replicas;
use super::shaped::Shaped;
use super::shared::SharedReads;
use super::simple::Queries;
use super::strings::Strings;
use super::written::NotedWrites;

impl Session {
    /// Answers from memory.
    pub(super) fn lookups(&mut self) -> Lookups<'_> {
        Lookups { session: self }
    }

    /// Statements on the cache itself.
    pub(super) fn cache_commands(&mut self) -> CacheCommands<'_> {
        CacheCommands { session: self }
    }

    /// What EXPLAIN says of the cache.
    pub(super) fn explained_cache(&self) -> ExplainedCache<'_> {
        ExplainedCache {
            shared: &self.shared,
            user: &self.identity.user,
            has_server: self.has_server(),
            is_pinned: self.is_pinned(),
        }
    }

    /// Which texts have to be guarded.
    pub(super) fn proofs(&self) -> Proofs<'_> {
        Proofs {
            twins: &self.shared.stores.twins,
            analyses: &self.shared.analyses,
            guarding: &self.guarding,
            settings: &self.settings,
            transaction: &self.transaction,
        }
    }

    /// Finds out whether a text has to be guarded.
    pub(super) fn proving(&mut self) -> Proving<'_> {
        Proving { session: self }
    }

    /// Guarded statements.
    pub(super) fn guard(&mut self) -> Guard<'_> {
        Guard { session: self }
    }

    /// Guarded statements of a batch.
    pub(super) fn guarded_batch(&mut self) -> GuardedBatch<'_> {
        GuardedBatch { session: self }
    }

    /// The messages around a guarded statement.
    pub(super) fn guard_messages(&mut self) -> GuardMessages<'_> {
        GuardMessages { session: self }
    }

    /// FunctionCall messages.
    pub(super) fn function_calls(&mut self) -> FunctionCalls<'_> {
        FunctionCalls { session: self }
    }

    /// Reads that the routes send to replicas.
    pub(super) fn replicas(&mut self) -> Replicas<'_> {
        Replicas { session: self }
    }

    /// Batches whose statements are outdated.
    pub(super) fn renewing(&mut self) -> Renewing<'_> {
        Renewing { session: self }
    }

    /// Settings that are reset to what the client has begun with.
    pub(super) fn defaults(&mut self) -> Defaults<'_> {
        Defaults { session: self }
    }

    /// What code has left on the server connection.
    pub(super) fn learner(&mut self) -> Learner<'_> {
        Learner { session: self }
    }

    /// LISTEN, UNLISTEN and NOTIFY.
    pub(super) fn listener(&mut self) -> Listener<'_> {
        Listener { session: self }
    }

    /// COPY.
    pub(super) fn copies(&mut self) -> Copies<'_> {
        Copies { session: self }
    }

    /// DEALLOCATE.
    pub(super) fn deallocation(&self) -> Deallocation<'_> {
        Deallocation {
            prepared: &self.prepared,
            is_pinned: self.is_pinned(),
            has_failed: self.transaction.has_failed(),
        }
    }

    /// Prepared statements that a text wants under the client's own names.
    pub(super) fn wanted_names(&self) -> WantedNames<'_> {
        WantedNames {
            prepared: &self.prepared,
            upstream: &self.upstream,
            listening: &self.listening,
            charset: self.settings.charset(),
        }
    }

    /// Prepared statements under the client's own names.
    pub(super) fn statement_names(&mut self) -> StatementNames<'_> {
        StatementNames { session: self }
    }

    /// What can't be relayed.
    pub(super) fn refusals(&mut self) -> Refusals<'_> {
        Refusals { session: self }
    }

    /// Statements that have the plan of their shape.
    pub(super) fn shaped(&mut self) -> Shaped<'_> {
        Shaped { session: self }
    }

    /// How errors reach the client.
    pub(super) fn errors(&mut self) -> Errors<'_> {
        Errors { session: self }
    }

    /// Answers of Flywheel's own.
    pub(super) fn own_answers(&mut self) -> OwnAnswers<'_> {
        OwnAnswers { session: self }
    }

    /// What statements do to the session.
    pub(super) fn effects(&mut self) -> Effects<'_> {
        Effects { session: self }
    }

    /// Statements of Flywheel's own.
    pub(super) fn own_statements(&mut self) -> OwnStatements<'_> {
        OwnStatements { session: self }
    }

    /// Columns that Flywheel itself has asked for.
    pub(super) fn taken_columns(&mut self) -> TakenColumns<'_> {
        TakenColumns { session: self }
    }

    /// Texts of a session whose `standard_conforming_strings` may be off.
    pub(super) fn strings(&self) -> Strings<'_> {
        Strings { session: self }
    }

    /// Texts of a session whose encoding may be another one than UTF8.
    pub(super) fn encoding(&self) -> Encoding<'_> {
        Encoding { session: self }
    }

    /// Writes, as they are noted for the cache.
    pub(super) fn noted_writes(&mut self) -> NotedWrites<'_> {
        NotedWrites {
            is_pinned: self.is_pinned(),
            is_unsynced: self.upstream.is_unsynced(),
            charset: self.settings.charset(),
            caching: self.shared.caching.as_ref(),
            analyses: &self.shared.analyses,
            writes: &mut self.writes,
            transaction: &self.transaction,
            prepared: &self.prepared,
        }
    }

    /// Carries out statements on store tables.
    pub(crate) fn executor(&mut self) -> Executor<'_, Self> {
        Executor::new(self)
    }

    /// Simple Queries.
    pub(super) fn queries(&mut self) -> Queries<'_> {
        Queries { session: self }
    }

    /// Batches of the extended protocol.
    pub(super) fn batches(&mut self) -> Batches<'_> {
        Batches { session: self }
    }

    /// Reads over shared connections.
    pub(super) fn shared_reads(&mut self) -> SharedReads<'_> {
        SharedReads { session: self }
    }

    /// Ends of transactions.
    pub(super) fn control(&mut self) -> Control<'_> {
        Control { session: self }
    }
}
