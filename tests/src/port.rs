//! Ports for servers that a test starts.

use std::net::TcpListener;

use rand::Rng as _;

/// A port that nobody listens on, below those that outgoing connections get: one of these could be
/// taken before the server has come to listen on it. The one 10,000 above it, by which the servers
/// of a Redis Cluster talk to each other, is below them too.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(10_240..22_240);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
