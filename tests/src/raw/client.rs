//! A connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Event, Message};

/// Long, since a busy machine isn't what these tests measure: only an answer that never comes is
/// meant.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The server has closed the connection.
    Closed,
    /// It doesn't answer.
    Silent,
    /// It says what the protocol doesn't allow.
    Nonsense(String),
}

/// A connection, logged in or not.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// A connection on which nothing has been said.
    ///
    /// # Errors
    /// The server can't be reached.
    pub async fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// A session without a password.
    ///
    /// # Errors
    /// The server refuses it, or goes away.
    pub async fn login(address: &str, user: &str, database: &str) -> Result<Self, Lost> {
        let mut client = Self::connect(address).await.map_err(|_| Lost::Closed)?;
        client.send(&[Message::startup(&[("user", user), ("database", database)])]).await?;
        let answer = client.until_ready().await?;
        match answer.iter().find(|event| matches!(event, Event::Error(_))) {
            Some(error) => Err(Lost::Nonsense(error.to_string())),
            None => Ok(client),
        }
    }

    /// Sends messages in one write.
    ///
    /// # Errors
    /// The server has closed the connection.
    pub async fn send(&mut self, messages: &[Message]) -> Result<(), Lost> {
        let bytes: Vec<u8> =
            messages.iter().flat_map(|message| message.bytes().iter().copied()).collect();
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The server has closed the connection.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.write_all(bytes).await.map_err(|_| Lost::Closed)
    }

    /// Says that nothing more comes.
    pub async fn close_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next message.
    ///
    /// # Errors
    /// There is none.
    pub async fn next(&mut self) -> Result<Event, Lost> {
        tokio::time::timeout(PATIENCE, self.read()).await.unwrap_or(Err(Lost::Silent))
    }

    async fn read(&mut self) -> Result<Event, Lost> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.map_err(|_| Lost::Closed)?;
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length =
            usize::try_from(length - 4).map_err(|_| Lost::Nonsense(format!("{head:?}")))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.map_err(|_| Lost::Closed)?;
        Event::read(head[0], &body)
            .ok_or_else(|| Lost::Nonsense(format!("message '{}': {body:?}", head[0] as char)))
    }

    /// One byte, as SSLRequest is answered.
    ///
    /// # Errors
    /// There is none.
    pub async fn byte(&mut self) -> Result<u8, Lost> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_u8()).await;
        read.map_err(|_| Lost::Silent)?.map_err(|_| Lost::Closed)
    }

    /// All bytes until the server closes the connection.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn rest(&mut self) -> Result<Vec<u8>, Lost> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        // What has come before a reset has come.
        read.map_err(|_| Lost::Silent)?.ok();
        Ok(bytes)
    }

    /// All messages up to ReadyForQuery, or up to an error that ends the login.
    ///
    /// # Errors
    /// The answer has no end.
    pub async fn until_ready(&mut self) -> Result<Vec<Event>, Lost> {
        let mut events = Vec::new();
        loop {
            let event = match self.next().await {
                Err(Lost::Closed) if matches!(events.last(), Some(Event::Error(_))) => {
                    return Ok(events);
                }
                event => event?,
            };
            let ready = matches!(event, Event::Ready(_));
            events.push(event);
            if ready {
                return Ok(events);
            }
        }
    }

    /// All messages until the server closes the connection.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn until_closed(&mut self) -> Result<Vec<Event>, Lost> {
        let mut events = Vec::new();
        loop {
            match self.next().await {
                Ok(event) => events.push(event),
                Err(Lost::Closed) => return Ok(events),
                Err(lost) => return Err(lost),
            }
        }
    }

    /// The answer to a simple Query.
    ///
    /// # Errors
    /// There is none.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Event>, Lost> {
        self.send(&[Message::query(sql)]).await?;
        self.until_ready().await
    }
}
