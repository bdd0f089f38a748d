//! Sessions by the key that a CancelRequest names them with.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use rand::{Rng, RngCore};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// Something that runs for a session, which a cancel request ends.
pub trait Running: Clone + Debug + Send + Sync + 'static {
    /// Has it end, if it runs still. Whoever waits for it is told by its answer.
    fn cancel(&self) -> impl Future<Output = ()> + Send;
}

/// What a cancel request acts on.
#[derive(Debug)]
pub struct SessionHandle<R> {
    /// The server connection that runs the session's statement. Held while a cancel is under way,
    /// so that the connection can't go to another session in between.
    pub server: AsyncMutex<Option<R>>,
    /// The session's batch on a connection that it shares.
    shared: Mutex<Option<R>>,
    /// Wakes a session that waits for a store.
    pub interrupt: Notify,
}

/// By process id, with the secret key, as BackendKeyData gives them.
type Sessions<R> = HashMap<i32, (Arc<[u8]>, Arc<SessionHandle<R>>)>;

/// How long a cancel key is, by the minor version of the protocol: as PostgreSQL 18 makes them.
fn key_length(minor: u16) -> usize {
    if minor >= 2 { 32 } else { 4 }
}

/// All sessions.
#[derive(Debug)]
pub struct Registry<R> {
    sessions: Mutex<Sessions<R>>,
}

/// A session's place in the registry; it leaves when this is dropped.
#[derive(Debug)]
pub struct Registered<R> {
    registry: Arc<Registry<R>>,
    /// The session's number.
    pub process_id: i32,
    /// Its key, which only its client is told.
    pub secret_key: Arc<[u8]>,
    /// What a cancel request acts on.
    pub handle: Arc<SessionHandle<R>>,
}

impl<R> Default for SessionHandle<R> {
    fn default() -> Self {
        Self { server: AsyncMutex::default(), shared: Mutex::default(), interrupt: Notify::new() }
    }
}

impl<R> SessionHandle<R> {
    /// Notes what a cancel is to act on.
    pub fn share(&self, batch: Option<R>) {
        *self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = batch;
    }
}

impl<R> Default for Registry<R> {
    fn default() -> Self {
        Self { sessions: Mutex::default() }
    }
}

impl<R> Registry<R> {
    /// A place for a session that speaks this minor version of the protocol.
    pub fn register(self: &Arc<Self>, minor: u16) -> Registered<R> {
        let handle = Arc::new(SessionHandle::default());
        let mut key = vec![0; key_length(minor)];
        rand::rng().fill_bytes(&mut key);
        let secret_key: Arc<[u8]> = key.into();
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            let process_id = rand::rng().random_range(1..=i32::MAX);
            if let std::collections::hash_map::Entry::Vacant(place) = sessions.entry(process_id) {
                place.insert((secret_key.clone(), handle.clone()));
                return Registered { registry: self.clone(), process_id, secret_key, handle };
            }
        }
    }
}

impl<R: Running> Registry<R> {
    /// Cancels what the session does now. An unknown key is ignored, as PostgreSQL ignores it.
    pub async fn cancel(&self, process_id: i32, secret_key: &[u8]) {
        let session = self
            .sessions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&process_id)
            .cloned();
        let Some((known, handle)) = session else { return };
        // In constant time: how much of a guess is right must not be told by how long it takes.
        // Another length is another key.
        if !bool::from(known.ct_eq(secret_key)) {
            return;
        }
        handle.interrupt.notify_waiters();
        let shared =
            handle.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(batch) = shared {
            return batch.cancel().await;
        }
        let server = handle.server.lock().await;
        if let Some(running) = &*server {
            running.cancel().await;
        }
    }
}

impl<R> Registered<R> {
    /// A place of its own for what is done behind a session, under a key that nobody is told.
    pub fn another(&self) -> Self {
        self.registry.register(0)
    }
}

impl<R> Drop for Registered<R> {
    fn drop(&mut self) {
        self.registry
            .sessions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(&self.process_id);
    }
}
