//! LISTEN for any number of clients, over one connection a database.
//!
//! - [`Listeners`]: what sessions ask of it: to listen, to stop, and to have heard all that was
//!   sent until now.
//! - [`Inbox`]: what one session is to be told, in order, within bounds.
//! - `hub`: the task that has the connection, and makes it anew when it is lost.
//! - `holders`: which client was at which server connection: a notification names its sender by the
//!   process that served it.
//!
//! The hub carries out one thing after another, and hears on one connection: so what it had heard
//! before it listened for a session isn't told to it, and what comes later is. Each thing that it
//! hears has a number by which a session knows which is which.
//!
//! LISTEN is PostgreSQL's to carry out, and one connection's to hear: it runs as it is on the
//! session's connection, so its errors and transactions are PostgreSQL's, and that connection is
//! made to forget before it is given back. Before what would commit it is sent, the database's own
//! connection listens. The hub does one thing after another on one connection: what it had heard
//! when it answered isn't for the session, what comes later is. At the end of a transaction a
//! session that listens waits for one round trip there: signals of what was committed before are in
//! front of it. Senders' processes are mapped to clients by who had the connection last; a
//! connection that was used for NOTIFY is given back when the hub has heard it.

mod holders;
mod hub;
mod inbox;
mod state;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use flywheel_postgres::Pool;
use flywheel_wire::{PgError, sqlstate};
use tokio::sync::{mpsc, oneshot};

use hub::{Command, Hub};
pub(crate) use inbox::{Inbox, Told};
use state::State;
pub(crate) use state::{Channel, Moment};

/// Listens for the sessions of a database.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    commands: OnceLock<mpsc::UnboundedSender<Command>>,
    state: Arc<State>,
}

impl Listeners {
    /// Hears these channels for a session from now on. What was heard up to the moment that is
    /// returned isn't for it.
    pub(crate) async fn listen(
        &self,
        pool: &Pool,
        channels: Vec<Channel>,
        inbox: &Arc<Inbox>,
    ) -> Result<Moment, PgError> {
        let (done, heard) = oneshot::channel();
        self.start(pool).send(Command::Listen { channels, inbox: inbox.clone(), done }).ok();
        heard.await.unwrap_or_else(|_| {
            Err(PgError::error(sqlstate::INTERNAL_ERROR, "nobody listens for notifications"))
        })
    }

    /// A session doesn't want to hear these any more.
    pub(crate) fn unlisten(&self, channels: Vec<Channel>, inbox: &Arc<Inbox>) {
        if let Some(commands) = self.commands.get() {
            commands.send(Command::Unlisten { channels, inbox: inbox.clone() }).ok();
        }
    }

    /// Waits until all that was committed before has been heard; for no connection, though, that
    /// has yet to be made.
    pub(crate) async fn catch_up(&self) {
        let Some(commands) = self.commands.get() else { return };
        let (done, heard) = oneshot::channel();
        if commands.send(Command::CatchUp { done }).is_ok() {
            heard.await.ok();
        }
    }

    /// A session has got a server connection: what that sends is the session's.
    pub(crate) fn note_holder(&self, server: i32, client: i32) {
        self.state.holders.note(server, client);
    }

    /// A sender as clients know it.
    pub(crate) fn sender(&self, server: i32) -> i32 {
        self.state.holders.client(server)
    }

    /// How many sessions listen.
    pub(crate) fn listening(&self) -> usize {
        self.state.listening.load(Ordering::Relaxed)
    }

    /// How often the connection was made anew under somebody who listened.
    pub(crate) fn renewals(&self) -> u64 {
        self.state.renewals.load(Ordering::Relaxed)
    }

    fn start(&self, pool: &Pool) -> &mpsc::UnboundedSender<Command> {
        self.commands.get_or_init(|| {
            let (commands, asked) = mpsc::unbounded_channel();
            tokio::spawn(Hub::new(pool.clone(), self.state.clone(), asked).run());
            commands
        })
    }
}
