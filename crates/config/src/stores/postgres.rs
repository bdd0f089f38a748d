//! PostgreSQL.

use std::path::PathBuf;
use std::time::Duration;

use crate::Secret;

/// PostgreSQL over its wire protocol.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The server that all writes go to.
    pub primary: Server,
    /// Servers that follow the primary and only read.
    pub replicas: Vec<Server>,
    /// How many connections are kept to each server at most.
    pub pool_size: usize,
    /// How long a statement may wait for a connection.
    pub acquire_timeout: Duration,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
}

/// A server and a login to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub host: Host,
    /// The role to log in as.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address and a port.
    Tcp(String, u16),
    /// A Unix-domain socket: the path of the socket itself, not of its folder.
    Unix(PathBuf),
}

/// PostgreSQL in this process. It serves one connection at a time.
#[derive(Debug, Clone)]
pub struct EmbeddedPostgres {
    /// The folder of its data; else a temporary one.
    pub data: Option<PathBuf>,
}
