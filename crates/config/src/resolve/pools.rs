//! `[[databases]]`, and whose statements run over which connections.

use super::Resolver;
use crate::config::{Config, Database, PoolMode, Store};
use crate::file;

impl From<file::PoolMode> for PoolMode {
    fn from(mode: file::PoolMode) -> Self {
        match mode {
            file::PoolMode::Transaction => Self::Transaction,
            file::PoolMode::Session => Self::Session,
            file::PoolMode::Statement => Self::Statement,
        }
    }
}

impl Resolver<'_> {
    pub(super) fn databases(&mut self, databases: &[Option<file::Database>]) -> Vec<Database> {
        let mut resolved: Vec<Database> = Vec::new();
        for (position, database) in databases.iter().enumerate() {
            let Some(database) = database else { continue };
            if resolved.iter().any(|other| other.name == database.name) {
                self.mistake(
                    &["databases", &position.to_string(), "name"],
                    format!("database \"{}\" is listed twice", database.name),
                    "clients choose a database by its name: each has one of its own",
                );
            }
            resolved.push(Database {
                name: database.name.clone(),
                dbname: database.dbname.as_ref().unwrap_or(&database.name).clone(),
                max_connections: database.max_connections,
                pool_size: database.pool_size,
                pool_mode: database.pool_mode.map(Into::into),
            });
        }
        resolved
    }

    /// Databases and pools as the PostgreSQL store can have them.
    pub(super) fn fitting_pools(
        &mut self,
        config: &Config,
        databases: &[Option<file::Database>],
        users: &[Option<file::User>],
    ) {
        match &config.stores[&config.primary] {
            Store::Postgres(postgres) => {
                self.further_databases(config, &postgres.url.database, databases)
            }
            _ => self.one_connection(databases, users),
        }
    }

    fn further_databases(
        &mut self,
        config: &Config,
        main: &str,
        databases: &[Option<file::Database>],
    ) {
        for (position, database) in databases.iter().enumerate() {
            let Some(database) = database else { continue };
            let at = position.to_string();
            if database.name == config.database {
                self.mistake(
                    &["databases", &at, "name"],
                    format!("database \"{}\" is the main one", database.name),
                    "leave it out, or give one of the two another name (the main one's stands at the head of the file: `database`)",
                );
            } else if database.dbname.as_ref().unwrap_or(&database.name) == main
                && !config.tables.is_empty()
            {
                let key = if database.dbname.is_some() { "dbname" } else { "name" };
                self.mistake(
                    &["databases", &at, key],
                    format!(
                        "\"{main}\" is the main database, of which [[tables]] live in other stores"
                    ),
                    format!(
                        "by another name they would be empty: clients connect to \"{}\"",
                        config.database
                    ),
                );
            }
        }
    }

    /// An embedded PostgreSQL serves one connection, under one role in one database, and nobody may
    /// keep it.
    fn one_connection(
        &mut self,
        databases: &[Option<file::Database>],
        users: &[Option<file::User>],
    ) {
        if !databases.is_empty() {
            self.mistake(
                &["databases"],
                "an embedded PostgreSQL has one database",
                "leave [[databases]] out, or use kind = \"postgres\"",
            );
        }
        for (position, user) in users.iter().enumerate() {
            let Some(user) = user else { continue };
            let at = position.to_string();
            for (key, is_given) in [
                ("server_user", user.server_user.is_some()),
                ("pool_size", user.pool_size.is_some()),
                ("pool_mode", user.pool_mode == Some(file::PoolMode::Session)),
            ] {
                if is_given {
                    self.mistake(
                        &["users", &at, key],
                        "an embedded PostgreSQL serves one connection, which all users share",
                        format!("leave `{key}` out, or use kind = \"postgres\""),
                    );
                }
            }
        }
    }
}
