//! Which server is the primary, and which replicas may be read from: several servers that are one
//! database to clients.
//!
//! - [`Cluster`]: what is known of the servers now, and those who wait for a primary.
//! - `look`: one look at one server: its role, and how far its write-ahead log has come.
//! - `monitor`: the one task that looks at all of them, from time to time and as soon as a
//!   connection breaks.
//! - `state`: what follows from the looks: which server is the primary, which replicas are usable.
//!   Does no IO.
//! - `history`: how far the primary's log was at which time, which tells what a replica has seen.
//!   Does no IO.
//! - [`ClusterFigures`]: all that in numbers.
//! - [`Seen`]: what a session can have seen, and a replica that answers it must have.
//! - `links`: the connections to them, which are cut when their server has gone silent.
//! - `seat`: connections that follow a role from server to server.
//!
//! A cluster has *seats*: one for the primary, one for each configured replica. A pool leads to a
//! seat; who sits there is the monitor's word. When another server takes the primary's seat,
//! connections to the one before are closed as soon as they are given back.

mod attributes;
mod figures;
mod history;
mod links;
mod look;
mod monitor;
mod seat;
mod seen;
mod state;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use attributes::SessionAttributes;
pub use figures::{ClusterFigures, ReplicaFigures};
pub use look::Look;
pub use seat::Seat;
pub(crate) use seat::Sitting;
pub use seen::Seen;

use crate::{Host, ServerError, ServerOptions};
use links::Links;
use seen::ReplicaPlace;
use state::State;

/// Servers of a cluster, and how they are judged.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Where the primary may be, the likeliest first: one login for each host.
    pub primaries: Vec<ServerOptions>,
    /// What the primary has to be.
    pub primary_is: SessionAttributes,
    /// The replicas, and what each has to be.
    pub replicas: Vec<(ServerOptions, SessionAttributes)>,
    /// How often each server is looked at.
    pub check_interval: Duration,
    /// How far a replica may be behind.
    pub max_lag: MaxLag,
}

/// How far a replica may be behind the primary. Where the lag can't be measured nothing is too far.
#[derive(Debug, Clone, Copy, Default)]
pub struct MaxLag {
    /// Since when it may have missed something.
    pub time: Option<Duration>,
    /// How much of the write-ahead log it may have yet to replay.
    pub bytes: Option<u64>,
}

/// Servers that are one database: a primary and its replicas. Watched as long as a copy of this
/// exists.
#[derive(Debug, Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ClusterOptions,
    state: watch::Sender<State>,
    links: Links,
    /// Counts the times that a look at once was asked for.
    suspicions: watch::Sender<u64>,
    /// Told when somebody waits to hear how far the servers have come.
    wishes: watch::Sender<()>,
    /// For each replica: how many statements are under way on it.
    busy: Vec<AtomicUsize>,
    /// Whose turn it is among equally busy ones.
    turn: AtomicUsize,
    last_suspicion: Mutex<Option<Instant>>,
}

/// A replica chosen for a statement. It counts as busy with it until this is dropped.
#[derive(Debug)]
pub struct InUse {
    shared: Arc<Shared>,
    place: ReplicaPlace,
}

impl Cluster {
    /// Watches servers. Must be called on a runtime.
    #[must_use]
    pub fn watch(options: ClusterOptions) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(State::new(&options)),
            links: Links::default(),
            suspicions: watch::Sender::new(0),
            wishes: watch::Sender::new(()),
            busy: options.replicas.iter().map(|_| AtomicUsize::new(0)).collect(),
            turn: AtomicUsize::new(0),
            last_suspicion: Mutex::new(None),
            options,
        });
        tokio::spawn(monitor::run(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Has every server looked at now: something has happened that a change of roles may be behind.
    pub fn suspect(&self) {
        self.shared.suspect();
    }

    /// A replica has failed somebody: it isn't used until a look at it succeeds.
    pub fn eject(&self, replica: usize, reason: &ServerError) {
        let reason = reason.to_string();
        self.shared.state.send_if_modified(|state| state.eject(replica, &reason, Instant::now()));
        self.suspect();
    }

    /// The replica to read from: of the usable ones that aren't in `tried` and have all that its
    /// reader has seen, the least busy, and in turn among equals. `None`: the primary is to answer.
    #[must_use]
    pub fn choose(&self, seen: &Seen, tried: &[usize]) -> Option<InUse> {
        let shared = &self.shared;
        let place = {
            let state = shared.state.borrow();
            let count = shared.busy.len();
            let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
            (0..count)
                .map(|step| (turn + step) % count)
                .filter(|replica| !tried.contains(replica))
                .filter_map(|replica| state.place(replica))
                .filter(|place| state.is_usable(place.replica, seen.wanted_of(*place)))
                .min_by_key(|place| shared.busy[place.replica].load(Ordering::Relaxed))?
        };
        shared.busy[place.replica].fetch_add(1, Ordering::Relaxed);
        Some(InUse { shared: shared.clone(), place })
    }

    /// The same, where a replica that is well may have what it lacks within `patience`.
    pub async fn choose_soon(
        &self,
        seen: &Seen,
        tried: &[usize],
        patience: Duration,
    ) -> Option<InUse> {
        let mut news = self.shared.state.subscribe();
        let chosen = tokio::time::timeout(patience, async {
            loop {
                news.mark_unchanged();
                if let Some(chosen) = self.choose(seen, tried) {
                    return Some(chosen);
                }
                let is_any_well = (0..self.shared.busy.len()).any(|replica| {
                    !tried.contains(&replica) && news.borrow().is_usable(replica, None)
                });
                if !is_any_well {
                    return None;
                }
                self.hasten();
                news.changed().await.ok()?;
            }
        });
        chosen.await.ok().flatten()
    }

    /// Has the servers looked at soon: a session could be answered by a replica again as soon as it
    /// is known that one has all that the session has seen.
    pub fn hasten(&self) {
        self.shared.wishes.send_replace(());
    }

    /// Looks at every server once, for a report: its host, and its role or why it can't be used.
    pub async fn report(&self) -> Vec<(Host, Result<Look, ServerError>)> {
        let options = &self.shared.options;
        let logins =
            options.primaries.iter().chain(options.replicas.iter().map(|(login, _)| login));
        let looks = logins.map(|login| async move {
            let look = look::Watched::new(login.clone()).look(SessionAttributes::Any).await;
            (login.host.clone(), look.map(|(_, look)| look))
        });
        futures_util::future::join_all(looks).await
    }
}

impl Shared {
    /// Suspicions come in swarms, one for each connection that breaks: one look answers many.
    const CALM: Duration = Duration::from_millis(20);

    fn suspect(&self) {
        let mut last = self.last_suspicion.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Self::CALM) {
            *last = Some(Instant::now());
            self.suspicions.send_modify(|count| *count += 1);
        }
    }
}

impl InUse {
    /// Its number among the replicas.
    #[must_use]
    pub fn replica(&self) -> usize {
        self.place.replica
    }

    /// It has answered somebody who has seen this.
    pub fn note_in(&self, seen: &mut Seen) {
        seen.note_replica(self.place);
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.shared.busy[self.place.replica].fetch_sub(1, Ordering::Relaxed);
    }
}
