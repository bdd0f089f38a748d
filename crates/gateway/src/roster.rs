//! The sessions that run, as operators see them: who they are, what they are at, and how they are
//! ended.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

/// What a session is at, in the words of `pg_stat_activity.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Activity {
    /// A statement runs.
    Active,
    /// A statement waits for a server connection.
    Waiting,
    /// It waits for its client, outside of a transaction.
    Idle,
    /// It waits for its client, in one.
    IdleInTransaction,
    /// It waits for its client, in one that has failed.
    Aborted,
}

impl Activity {
    const ALL: [Self; 5] =
        [Self::Active, Self::Waiting, Self::Idle, Self::IdleInTransaction, Self::Aborted];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::IdleInTransaction => "idle in transaction",
            Self::Aborted => "idle in transaction (aborted)",
        }
    }
}

/// Who a session's client is.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) user: String,
    /// The database's name to clients.
    pub(crate) database: String,
    pub(crate) peer: SocketAddr,
    pub(crate) is_encrypted: bool,
    pub(crate) application_name: String,
}

/// A session at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// Its number, which BackendKeyData has told its client.
    pub(crate) id: i32,
    pub(crate) who: Who,
    pub(crate) began: SystemTime,
    pub(crate) activity: Activity,
    /// How long it has been at that.
    pub(crate) for_so_long: Duration,
    /// Why it keeps its server connection, when it does.
    pub(crate) pin: Option<&'static str>,
}

impl Sight {
    pub(crate) fn is_waiting(&self) -> bool {
        self.activity == Activity::Waiting
    }
}

/// All sessions, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    sessions: Mutex<HashMap<i32, Arc<Seen>>>,
}

/// What can be seen of a session.
#[derive(Debug)]
struct Seen {
    who: Mutex<Who>,
    began: SystemTime,
    /// The clock of `changed`.
    origin: Instant,
    activity: AtomicU8,
    /// When that changed, in microseconds from `origin` on.
    changed: AtomicU64,
    pin: Mutex<Option<&'static str>>,
    end: Mutex<Option<oneshot::Sender<()>>>,
}

/// A session's place in the roster; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    roster: Arc<Roster>,
    id: i32,
    seen: Arc<Seen>,
    /// As the roster has it: a lock is taken only when it changes.
    pin: Option<&'static str>,
    end: Option<oneshot::Receiver<()>>,
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Roster {
    /// A place for the session of this number.
    pub(crate) fn enter(self: &Arc<Self>, id: i32, who: Who) -> Entry {
        let (ending, end) = oneshot::channel();
        let seen = Arc::new(Seen {
            who: Mutex::new(who),
            began: SystemTime::now(),
            origin: Instant::now(),
            activity: AtomicU8::new(Activity::Active as u8),
            changed: AtomicU64::new(0),
            pin: Mutex::new(None),
            end: Mutex::new(Some(ending)),
        });
        held(&self.sessions).insert(id, seen.clone());
        Entry { roster: self.clone(), id, seen, pin: None, end: Some(end) }
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Sight> {
        let mut all: Vec<_> =
            held(&self.sessions).iter().map(|(id, seen)| seen.sight(*id)).collect();
        all.sort_by_key(|sight| (sight.began, sight.id));
        all
    }

    /// Ends a session; whether there is one of this number.
    pub(crate) fn end(&self, id: i32) -> bool {
        let Some(seen) = held(&self.sessions).get(&id).cloned() else { return false };
        if let Some(end) = held(&seen.end).take() {
            let _ = end.send(());
        }
        true
    }
}

impl Seen {
    fn sight(&self, id: i32) -> Sight {
        let activity = usize::from(self.activity.load(Ordering::Relaxed));
        let changed = Duration::from_micros(self.changed.load(Ordering::Relaxed));
        Sight {
            id,
            who: held(&self.who).clone(),
            began: self.began,
            activity: Activity::ALL.get(activity).copied().unwrap_or(Activity::Active),
            for_so_long: self.origin.elapsed().saturating_sub(changed),
            pin: *held(&self.pin),
        }
    }
}

impl Entry {
    /// A place of its own, which nobody sees, for what is done behind the session.
    pub(crate) fn another(&self, id: i32) -> Self {
        Arc::<Roster>::default().enter(id, held(&self.seen.who).clone())
    }

    /// The session begins to do this.
    pub(crate) fn note(&self, activity: Activity) {
        let now = self.seen.origin.elapsed().as_micros();
        self.seen.changed.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.seen.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// Why the session keeps its server connection from now on.
    pub(crate) fn note_pin(&mut self, pin: Option<&'static str>) {
        if self.pin != pin {
            self.pin = pin;
            *held(&self.seen.pin) = pin;
        }
    }

    /// The client calls itself so.
    pub(crate) fn note_application(&self, name: &str) {
        name.clone_into(&mut held(&self.seen.who).application_name);
    }

    /// Comes when an operator ends the session.
    pub(crate) fn end(&mut self) -> impl Future<Output = ()> + use<> {
        let end = self.end.take();
        async move {
            let is_told = match end {
                Some(end) => end.await.is_ok(),
                None => false,
            };
            if !is_told {
                std::future::pending().await
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        held(&self.roster.sessions).remove(&self.id);
    }
}
