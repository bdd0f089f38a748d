//! A port in front of a server at which a request can be stopped, or its answer, so that something
//! happens in between.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Long, since a busy machine isn't what these tests measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Query that is COMMIT alone, as it is sent to PostgreSQL. A text that ends in COMMIT may be
/// sent as a whole before, to be read only.
pub const COMMIT: &str = "Q\0\0\0\x0bCOMMIT\0";

/// What is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The request, before it reaches the server.
    Request,
    /// The answer, before it reaches who has asked.
    Answer,
    /// The answer, by the end of the connection: who has asked learns nothing.
    Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the request that is meant.
    Armed,
    /// Something is stopped.
    Stopped,
    /// All goes through.
    Open,
}

#[derive(Debug, Clone)]
struct Meant {
    words: Vec<Vec<u8>>,
    stop: Stop,
}

/// The port.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    meant: Arc<Mutex<Option<Meant>>>,
    state: watch::Sender<State>,
}

impl Gate {
    /// A gate in front of `target`, a host with its port.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (state, _) = watch::channel(State::Open);
        let meant: Arc<Mutex<Option<Meant>>> = Arc::default();
        let (target, further) = (target.to_owned(), (meant.clone(), state.clone()));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, (meant, state)) = (target.clone(), further.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(&target).await {
                        carry(client, server, meant, state).await;
                    }
                });
            }
        });
        Self { address, meant, state }
    }

    /// Host and port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the next request in which all of these words are, in one piece, is stopped.
    pub fn stop(&self, stop: Stop, words: &[&str]) {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        *self.meant.lock().unwrap_or_else(PoisonError::into_inner) = Some(Meant { words, stop });
        self.state.send_replace(State::Armed);
    }

    /// Waits until something is stopped.
    pub async fn stopped(&self) {
        let mut state = self.state.subscribe();
        let stopped = state.wait_for(|state| *state == State::Stopped);
        tokio::time::timeout(PATIENCE, stopped).await.expect("the request comes").expect("a gate");
    }

    /// Lets everything through.
    pub fn open(&self) {
        *self.meant.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.state.send_replace(State::Open);
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    meant: Arc<Mutex<Option<Meant>>>,
    state: watch::Sender<State>,
) {
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    // Whether the next answer on this connection is the one that is meant.
    let (waits, waiting) = watch::channel(None);
    let requests = requests(from_client, to_server, meant, state.clone(), waits);
    let answers = answers(from_server, to_client, state, waiting);
    tokio::join!(requests, answers);
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    meant: Arc<Mutex<Option<Meant>>>,
    state: watch::Sender<State>,
    waits: watch::Sender<Option<Stop>>,
) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let hit = {
            let mut meant = meant.lock().unwrap_or_else(PoisonError::into_inner);
            let is_it =
                |meant: &Meant| meant.words.iter().all(|word| contains(&buffer[..count], word));
            if meant.as_ref().is_some_and(is_it) { meant.take() } else { None }
        };
        match hit.map(|meant| meant.stop) {
            Some(Stop::Request) => {
                state.send_replace(State::Stopped);
                let _ = state.subscribe().wait_for(|state| *state == State::Open).await;
            }
            Some(stop) => {
                waits.send_replace(Some(stop));
            }
            None => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: watch::Sender<State>,
    waiting: watch::Receiver<Option<Stop>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let stop = *waiting.borrow();
        match stop {
            Some(Stop::Answer) if *state.borrow() != State::Open => {
                state.send_replace(State::Stopped);
                let _ = state.subscribe().wait_for(|state| *state == State::Open).await;
            }
            Some(Stop::Connection) if *state.borrow() != State::Open => {
                state.send_replace(State::Stopped);
                break;
            }
            _ => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
