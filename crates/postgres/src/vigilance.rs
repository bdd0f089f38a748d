//! Peers that have vanished: a machine that lost its power, or a network in between, closes no
//! connection. Until the operating system has asked in vain, whatever a session holds is held.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How long nothing is said before the peer is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);
/// How long it is asked before it is asked again.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often it is asked in vain before the connection is given up, 30 seconds after the peer was
/// last heard of. Linux alone would ask for 11 minutes.
const TIMES: u32 = 3;

/// Has the operating system find out about it, on a TCP socket.
///
/// `unacknowledged` is how long sent data may go without the peer's acknowledgement
/// (`TCP_USER_TIMEOUT`, tcp(7)); the operating system's retransmissions take about 15 minutes. A
/// peer that doesn't read for so long is given up, too.
///
/// # Errors
/// It can't.
pub fn watch_for_loss(socket: &impl AsFd, unacknowledged: Option<Duration>) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    let asking = TcpKeepalive::new().with_time(SILENCE).with_interval(INTERVAL).with_retries(TIMES);
    socket.set_tcp_keepalive(&asking)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if unacknowledged.is_some() {
        socket.set_tcp_user_timeout(unacknowledged)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_operating_system_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("it");
        let minute = Duration::from_secs(60);
        watch_for_loss(&stream, Some(minute)).expect("options");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("SO_KEEPALIVE"));
        assert_eq!(socket.tcp_keepalive_time().expect("TCP_KEEPIDLE"), SILENCE);
        assert_eq!(socket.tcp_keepalive_interval().expect("TCP_KEEPINTVL"), INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().expect("TCP_KEEPCNT"), TIMES);
        assert_eq!(socket.tcp_user_timeout().expect("TCP_USER_TIMEOUT"), Some(minute));
    }
}
