//! What the carrying out of a statement needs of the session that it is for.
//!
//! The session carries the traits out in `gateway/session/host.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::BytesMut;
use flywheel_postgres::{Lease, Portal, Rows, ServerError, Settings};
use flywheel_statement::Analysis;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::{Frame, PgError};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::block::{Block, Mark, Redefined};
use crate::client_statement::PreparedStatement;
use crate::failure::{Failure, Outcome};
use crate::reliance::Reliance;
use crate::statement::CacheCommand;
use crate::statement::{StatementKey, StoreStatement};
use crate::stores::Stores;
use crate::way::Way;

/// The server connection of a session.
pub trait Server: Send + Sync {
    /// The connection, borrowed when there is none yet, with the session's settings.
    fn server(&mut self) -> impl Future<Output = Outcome<&mut Lease>> + Send;

    /// The connection that is held.
    fn held_server(&mut self) -> Option<&mut Lease>;

    /// What an error of the connection means for the session.
    fn server_failed(&mut self, error: &ServerError) -> Failure;

    /// Takes over the connection's state after an exchange.
    fn follow_server(&mut self);

    /// The connection can't be used any more.
    fn drop_server(&mut self);

    /// The connection was lost at the end of a block or statement. A session that had more on it
    /// can't go on, and is told what has become of that.
    fn lose_server(&mut self, lost: PgError, note: Option<&'static str>) -> Outcome<()>;

    /// The connection's unnamed statement is none of the client's any more.
    fn lose_unnamed(&mut self);

    /// Nothing is known of the connection's settings: they are set again.
    fn forget_server_settings(&mut self);

    /// The connection is about to write, as far as is known.
    fn note_server_write(&mut self);

    /// Whether PostgreSQL can be asked something over another connection.
    fn spares_a_connection(&mut self) -> impl Future<Output = bool> + Send;

    /// Runs a statement, its answer kept back; its tag.
    fn on_server(&mut self, sql: &str) -> impl Future<Output = Outcome<String>> + Send;

    /// The same, with the notices that the client is to get.
    fn on_server_with_notices(&mut self, sql: &str)
    -> impl Future<Output = Outcome<Answer>> + Send;

    /// The same; the results of all its statements.
    fn results_on_server(&mut self, sql: &str) -> impl Future<Output = Outcome<Vec<Rows>>> + Send;

    /// Runs statements with parameters in one round trip; the results of each.
    fn portals_on_server(
        &mut self,
        portals: &[Portal<'_>],
    ) -> impl Future<Output = Outcome<Vec<Rows>>> + Send;

    /// Runs a statement by the extended protocol; its tag. `each` is given RowDescription, DataRows
    /// and notices.
    fn run_on_server(
        &mut self,
        portal: &Portal<'_>,
        each: impl FnMut(Frame) + Send,
    ) -> impl Future<Output = Outcome<String>> + Send;

    /// Runs a COPY FROM STDIN with the client's data; its tag.
    fn receive_copy(&mut self, sql: &str) -> impl Future<Output = Outcome<String>> + Send;

    /// Whether the connection stays with the session.
    fn is_pinned(&self) -> bool;

    /// The transaction's status, as the client is told it.
    fn status(&self) -> TransactionStatus;
}

/// A session's settings and what it has prepared.
pub trait Settled: Send + Sync {
    /// The settings as they are outside the block.
    fn settings(&self) -> &Arc<Settings>;

    /// The statement that made a setting what it is now; `None`: it is the server's default.
    fn setting(&self, name: &str) -> Option<&str>;

    /// Settings that the server reports, as the client knows them.
    fn reported(&self) -> &HashMap<String, String>;

    /// What names and rights depend on beside the definitions: the role and the search path.
    fn naming(&self) -> Option<String>;

    /// Whether the server prints `bytea` in hex unless the session says otherwise.
    fn prints_hex(&self) -> bool;

    /// Whether it prints floating-point numbers exactly unless the session says otherwise.
    fn prints_shortest_floats(&self) -> bool;

    /// Whether transactions are READ COMMITTED unless they say otherwise.
    fn is_read_committed(&self) -> bool;

    /// A client's text as it reads with `standard_conforming_strings` on.
    fn conforming<'t>(&self, text: &'t str) -> Cow<'t, str>;

    /// Refuses a text that was read with that setting on where it is off now.
    fn check_conforming(&self, text: &str) -> Result<(), PgError>;

    /// Tells the client of settings that a statement run in its place has changed.
    fn report_settings(&mut self);

    /// The client's prepared statements.
    fn statements(&self) -> &HashMap<String, Arc<PreparedStatement>>;

    /// SQL's PREPARE has made one.
    fn note_prepared(&mut self, name: String, statement: PreparedStatement);

    /// The plan that was made for the role.
    fn known_plan(&self, key: &StatementKey) -> Option<Arc<StoreStatement>>;

    /// Keeps a plan that takes about so many bytes for all sessions of the role.
    fn keep_plan(&self, key: StatementKey, plan: Arc<StoreStatement>, bytes: usize);
}

/// The transaction that a session is in.
pub trait Transacting: Send + Sync {
    /// What the block has done.
    fn block(&self) -> &Block;

    /// The same, to be added to.
    fn block_mut(&mut self) -> &mut Block;

    /// What blocks that are over have done to definitions.
    fn redefined(&self) -> &Redefined;

    /// The same, to be added to.
    fn redefined_mut(&mut self) -> &mut Redefined;

    /// What operations of stores rely on.
    fn reliance(&self) -> &Reliance;

    /// The same, to be changed.
    fn reliance_mut(&mut self) -> &mut Reliance;

    /// Locks in stores that are to be taken away.
    fn unmarked(&mut self) -> &mut Vec<Mark>;

    /// Begins a transaction for one statement.
    fn begin_implicit(&mut self) -> impl Future<Output = Outcome<()>> + Send;

    /// Ends it.
    fn end_implicit(&mut self, commit: bool) -> impl Future<Output = Outcome<()>> + Send;

    /// The block is over in PostgreSQL.
    fn end_block(&mut self, rolled_back: bool);

    /// Before COMMIT: whoever has called LISTEN hears from then on.
    fn announce_commit(&mut self) -> impl Future<Output = Outcome<()>> + Send;

    /// Before COMMIT: what has waited for it is checked.
    fn check_waiting(&mut self) -> impl Future<Output = Outcome<()>> + Send;

    /// Guards a statement that may come to PostgreSQL's own tables of store tables. `None`: it
    /// needs no guard; otherwise, whether a transaction was begun for it.
    fn begin_guard(&mut self, text: &str) -> impl Future<Output = Outcome<Option<bool>>> + Send;

    /// Guards whatever comes next.
    fn begin_marks(&mut self, changing: &str) -> impl Future<Output = Outcome<bool>> + Send;

    /// What was guarded is done.
    fn end_guard<T: Send>(
        &mut self,
        guard: Option<bool>,
        done: Outcome<T>,
    ) -> impl Future<Output = Outcome<T>> + Send;

    /// Whether it sees definitions that others don't.
    fn sees_own_definitions(&self) -> bool;

    /// A definition was made. `temporary`: of the session alone.
    fn note_definition(&mut self, temporary: bool);
}

/// The client of a session, and what is kept of answers.
pub trait Told: Send + Sync {
    /// Messages to the client.
    fn out(&mut self) -> &mut BytesMut;

    /// Waits for a store or for others, unless the client cancels or goes.
    fn interruptible<T: Send>(
        &mut self,
        waiting: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Outcome<T>> + Send;

    /// Counts a statement that was answered in this way.
    fn count(&self, way: Way);

    /// A statement on store tables is about to be carried out. Whether one was under way already,
    /// of which it is a part.
    fn begin_answer(&mut self, statement: &StoreStatement, arguments: &Arguments<'_>) -> bool;

    /// It has been carried out.
    fn end_answer(&mut self, is_within: bool);

    /// What was written may be visible by now, since the server is at rest.
    fn settle_writes_at_rest(&mut self);

    /// Whether what was written will become visible isn't known.
    fn lose_writes(&mut self);

    /// The line of EXPLAIN that tells whether the statement's answers are kept.
    fn explain_cache(&self, analysis: &Analysis, position: usize) -> Option<String>;

    /// Carries out a command of the cache's.
    fn cache_command(
        &mut self,
        command: &CacheCommand,
    ) -> impl Future<Output = Outcome<Answer>> + Send;
}

/// A session, as statements on store tables see it.
pub trait Host: Server + Settled + Transacting + Told {
    /// The database's store tables.
    fn stores(&self) -> &Arc<Stores>;
}

/// Carries out statements on store tables for a session.
#[derive(Debug)]
pub struct Executor<'h, H>(&'h mut H);

impl<'h, H: Host> Executor<'h, H> {
    /// For this session.
    pub fn new(host: &'h mut H) -> Self {
        Self(host)
    }
}

impl<H> Deref for Executor<'_, H> {
    type Target = H;

    fn deref(&self) -> &H {
        self.0
    }
}

impl<H> DerefMut for Executor<'_, H> {
    fn deref_mut(&mut self) -> &mut H {
        self.0
    }
}
