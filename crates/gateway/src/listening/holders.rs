//! Which client was last at which server connection.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Past this many processes all are forgotten: most of them have gone.
const MOST: usize = 10_000;

/// Clients by the server processes that served them last.
#[derive(Debug, Default)]
pub(super) struct Holders {
    clients: Mutex<HashMap<i32, i32>>,
}

impl Holders {
    pub(super) fn note(&self, server: i32, client: i32) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MOST {
            clients.clear();
        }
        clients.insert(server, client);
    }

    /// The client; who came past the gateway is known by the server process.
    pub(super) fn client(&self, server: i32) -> i32 {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(&server).copied().unwrap_or(server)
    }
}
