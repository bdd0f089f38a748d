//! A network between Flywheel and a server, which a test can cut.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It carries.
    Up,
    /// Connections are closed, old ones and new ones.
    Down,
    /// New connections are taken, and nothing is carried.
    Silent,
    /// For the connections that are there nothing is carried any more; for new ones it is.
    Forgetful,
}

/// A port that leads to a server while the network is up.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
}

impl Proxy {
    /// A port that leads to `target`, a host with its port.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (network, state) = watch::channel(Network::Up);
        let target = target.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), state.clone()));
            }
        });
        Self { address, network }
    }

    /// Host and port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it is so.
    pub fn becomes(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn carry(mut client: TcpStream, target: String, mut network: watch::Receiver<Network>) {
    let now = *network.borrow_and_update();
    match now {
        Network::Down => {}
        Network::Silent => {
            let _ = network.changed().await;
        }
        Network::Up | Network::Forgetful => {
            let Ok(mut server) = TcpStream::connect(&target).await else {
                return;
            };
            let carried = tokio::io::copy_bidirectional(&mut client, &mut server);
            tokio::pin!(carried);
            tokio::select! {
                _ = &mut carried => return,
                _ = network.changed() => {}
            }
            if matches!(*network.borrow_and_update(), Network::Silent | Network::Forgetful) {
                // The connections stay, and nothing goes through them.
                let _ = network.changed().await;
            }
        }
    }
}
