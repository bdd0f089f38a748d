//! Flywheel's configuration: one TOML file in, a validated and resolved [`Config`] out.

mod config;
mod diagnostics;
mod limits;
mod load;
mod routes;
mod secret;
mod stores;
mod tables;
mod users;

pub use config::{Auth, Config};
pub use diagnostics::{Diagnostic, Label, Report};
pub use limits::Limits;
pub use load::{load, parse, schema};
pub use routes::{Route, StatementKind, Target};
pub use secret::Secret;
pub use stores::{
    Catalogue, CatalogueKind, Credentials, DynamoDb, EmbeddedDynamoDb, EmbeddedPostgres, Host, Memory, Postgres, Redis, Server, Store,
    StoreKind,
};
pub use tables::{Layout, Table};
pub use users::User;
