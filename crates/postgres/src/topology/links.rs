//! Connections to servers that have gone silent.
//!
//! A server that stops closes its connections. One whose machine or network is lost doesn't: what
//! waits for its answer would wait until TCP gives up, a quarter of an hour later. So once it is
//! known that such a server has been replaced, the connections to it are cut from this side.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::Host;

/// The connections of a cluster.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Mutex<Vec<Link>>,
}

#[derive(Debug)]
struct Link {
    seat: usize,
    address: Host,
    socket: Weak<TcpStream>,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection. It is forgotten when what is returned is dropped.
    pub(super) fn add(
        &self,
        seat: usize,
        address: &Host,
        socket: &impl AsFd,
    ) -> Option<Arc<TcpStream>> {
        let socket = Arc::new(TcpStream::from(socket.as_fd().try_clone_to_owned().ok()?));
        let mut links = self.lock();
        links.retain(|link| link.socket.strong_count() > 0);
        links.push(Link { seat, address: address.clone(), socket: Arc::downgrade(&socket) });
        Some(socket)
    }

    /// Cuts a seat's connections to the addresses that `is_lost`; whoever waits on them sees them
    /// broken.
    pub(super) fn cut(&self, seat: usize, is_lost: impl Fn(&Host) -> bool) {
        self.lock().retain(|link| {
            if link.seat != seat || !is_lost(&link.address) {
                return true;
            }
            if let Some(socket) = link.socket.upgrade() {
                // One that is closed already has no need of it.
                let _ = socket.shutdown(Shutdown::Both);
            }
            false
        });
    }
}
