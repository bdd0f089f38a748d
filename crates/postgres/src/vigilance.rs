//! Peers that have vanished: a machine that lost its power, or a network in between, closes no
//! connection. Until the operating system has asked in vain, whatever a session holds is held.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long nothing is said before the peer is asked whether it is there. How often it is asked in
/// vain, the operating system knows: on Linux for 11 minutes (`tcp_keepalive_intvl`,
/// `tcp_keepalive_probes`).
const SILENCE: Duration = Duration::from_secs(15);

/// Has the operating system find out about it, on a TCP socket.
///
/// # Errors
/// It can't.
pub fn watch_for_loss(socket: &impl AsFd) -> std::io::Result<()> {
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))
}
