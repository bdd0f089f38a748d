//! Where rows live.

mod dynamodb;
mod memory;
mod postgres;
mod redis;

pub use dynamodb::{Credentials, DynamoDb, EmbeddedDynamoDb};
pub use memory::Memory;
pub use postgres::{EmbeddedPostgres, Host, Postgres, Server};
pub use redis::Redis;

/// The one store that holds the definitions of all tables, and the rows of those that aren't homed elsewhere.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Its name, the `NAME` of `[stores.NAME]`.
    pub name: String,
    /// What it is.
    pub kind: CatalogueKind,
}

/// What the catalogue is.
#[derive(Debug, Clone)]
pub enum CatalogueKind {
    /// `kind = "postgres"`
    Postgres(Postgres),
    /// `kind = "embedded-postgres"`
    EmbeddedPostgres(EmbeddedPostgres),
}

/// A store that tables may be homed in.
#[derive(Debug, Clone)]
pub struct Store {
    /// Its name, the `NAME` of `[stores.NAME]`.
    pub name: String,
    /// What it is.
    pub kind: StoreKind,
}

/// What a store is.
#[derive(Debug, Clone)]
pub enum StoreKind {
    /// `kind = "dynamodb"`
    DynamoDb(DynamoDb),
    /// `kind = "embedded-dynamodb"`
    EmbeddedDynamoDb(EmbeddedDynamoDb),
    /// `kind = "redis"`
    Redis(Redis),
    /// `kind = "memory"`
    Memory(Memory),
}
