//! The whole configuration.

use std::net::SocketAddr;

use crate::{Catalogue, Limits, Route, Store, Table, User};

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// By a password, with SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// They don't.
    Trust,
}

/// A configuration without mistakes: defaults filled in, secrets read, references resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The name of the database to clients.
    pub database: String,
    /// How clients prove who they are.
    pub auth: Auth,
    /// How many clients may be connected at once.
    pub max_connections: usize,
    /// What one client, or one statement of it, may use.
    pub limits: Limits,
    /// Who may log in. Empty only together with [`Auth::Trust`]: anybody may.
    pub users: Vec<User>,
    /// The store that holds the definitions of all tables, and the rows of those that aren't homed elsewhere.
    pub catalogue: Catalogue,
    /// The other stores, by name.
    pub stores: Vec<Store>,
    /// The tables that are homed in one of [`Config::stores`].
    pub tables: Vec<Table>,
    /// Where relational statements go; the first route that matches decides, and without one the primary does.
    pub routes: Vec<Route>,
}

impl Config {
    /// The store called `name`, unless it is the catalogue.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&Store> {
        self.stores.iter().find(|store| store.name == name)
    }
}
