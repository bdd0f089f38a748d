//! Sessions by the key that a CancelRequest names them with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flywheel_postgres::{Answer, CancelKey, cancel};
use rand::{Rng, RngCore};
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// What a cancel request acts on.
#[derive(Debug, Default)]
pub(crate) struct SessionHandle {
    /// The server connection that runs the session's statement. Held while a cancel is under way, so that the connection can't
    /// go to another session in between.
    pub(crate) server: AsyncMutex<Option<CancelKey>>,
    /// The session's batch on a connection that it shares.
    shared: Mutex<Option<Arc<Answer>>>,
    /// Wakes a session that waits for a store.
    pub(crate) interrupt: Notify,
}

/// By process id, with the secret key, as BackendKeyData gives them.
type Sessions = HashMap<i32, (Arc<[u8]>, Arc<SessionHandle>)>;

/// How long a cancel key is, by the minor version of the protocol: as PostgreSQL 18 makes them.
fn key_length(minor: u16) -> usize {
    if minor >= 2 { 32 } else { 4 }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    sessions: Mutex<Sessions>,
}

/// A session's place in the registry; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    pub(crate) process_id: i32,
    pub(crate) secret_key: Arc<[u8]>,
    pub(crate) handle: Arc<SessionHandle>,
}

impl SessionHandle {
    /// Notes what a cancel is to act on.
    pub(crate) fn share(&self, answer: Option<Arc<Answer>>) {
        *self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = answer;
    }
}

impl Registry {
    /// A place for a session that speaks this minor version of the protocol.
    pub(crate) fn register(self: &Arc<Self>, minor: u16) -> Registered {
        let handle = Arc::new(SessionHandle::default());
        let mut key = vec![0; key_length(minor)];
        rand::rng().fill_bytes(&mut key);
        let secret_key: Arc<[u8]> = key.into();
        let mut sessions = self.sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            let process_id = rand::rng().random_range(1..=i32::MAX);
            if let std::collections::hash_map::Entry::Vacant(place) = sessions.entry(process_id) {
                place.insert((secret_key.clone(), handle.clone()));
                return Registered {
                    registry: self.clone(),
                    process_id,
                    secret_key,
                    handle,
                };
            }
        }
    }

    /// Cancels what the session does now. An unknown key is ignored, as PostgreSQL ignores it.
    pub(crate) async fn cancel(&self, process_id: i32, secret_key: &[u8]) {
        let session = self
            .sessions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(&process_id)
            .cloned();
        let Some((known, handle)) = session else { return };
        // In constant time: how much of a guess is right must not be told by how long it takes. Another length is another key.
        if !bool::from(known.ct_eq(secret_key)) {
            return;
        }
        handle.interrupt.notify_waiters();
        let shared = handle.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(answer) = shared {
            return answer.cancel().await;
        }
        let server = handle.server.lock().await;
        if let Some(key) = &*server
            && let Err(error) = cancel(key).await
        {
            tracing::warn!(%error, "cancel request could not be passed on");
        }
    }
}

impl Registered {
    /// A place of its own for what is done behind a session, under a key that nobody is told.
    pub(crate) fn another(&self) -> Self {
        self.registry.register(0)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry
            .sessions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(&self.process_id);
    }
}
