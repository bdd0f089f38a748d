//! Where a server is and how to log in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Encryption;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address and a port.
    Tcp(String, u16),
    /// An address that a name stands for.
    Resolved {
        /// The name, which a server's certificate is for.
        name: String,
        /// The address.
        address: String,
        /// The port.
        port: u16,
    },
    /// A Unix-domain socket.
    Unix(PathBuf),
}

impl Host {
    /// What it was called when it was asked for; empty for a socket.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tcp(name, _) | Self::Resolved { name, .. } => name,
            Self::Unix(_) => "",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) | Self::Resolved { address: host, port, .. } => {
                write!(f, "{host}:{port}")
            }
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A server and a login to it.
#[derive(Clone)]
pub struct ServerOptions {
    /// Where it is.
    pub host: Host,
    /// The role to log in as.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// Whether the connection is encrypted.
    pub encryption: Encryption,
    /// How long to wait for the connection and the login.
    pub connect_timeout: Duration,
}

/// What is other than in a server's own login.
#[derive(Clone, Default)]
pub struct Login {
    /// Another database.
    pub database: Option<String>,
    /// Another role, with its password if it has one.
    pub role: Option<(String, Option<String>)>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.as_ref().map(|(role, _)| role);
        f.debug_struct("Login").field("database", &self.database).field("role", &role).finish()
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.user, self.host, self.database)
    }
}
