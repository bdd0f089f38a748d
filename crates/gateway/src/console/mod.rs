//! The console: the gateway as its operators see it, in a database of its own.

mod clients;
mod configured;
mod stores;
mod traffic;

use std::sync::Arc;

use flywheel_console::{Column, DATABASES, Key, Operator, Rights, Row, Subject, converse};
use flywheel_front::{Client, Login};
use flywheel_wire::{PgError, sqlstate};

use crate::reception::Reception;
use crate::roster::Entry;
use crate::running::Registered;
use crate::stage::{Stage, farewell, reached};

/// What this user may do in the console, where the login asks for it. A configured database of that
/// name goes before it.
pub(crate) fn rights(reception: &Reception, login: &Login) -> Result<Option<Rights>, PgError> {
    let is_asked_for = DATABASES.contains(&login.database.as_str());
    if !is_asked_for || login.replication.is_some() || reception.has(&login.database) {
        return Ok(None);
    }
    let rules = reception.rules();
    let user = rules.user(&login.user);
    user.and_then(|user| user.console).map(Some).ok_or_else(|| {
        let message = format!("user \"{}\" may not use the console", login.user);
        PgError::fatal(sqlstate::INSUFFICIENT_PRIVILEGE, message).with_hint(
            "Set `stats = true` for the user under [[users]] in Flywheel's configuration, or `admin = true`.",
        )
    })
}

/// Serves an operator until it goes, or is told to.
pub(crate) async fn serve(
    reception: &Arc<Reception>,
    client: &mut Client,
    rights: Rights,
    registered: &Registered,
    mut entry: Entry,
) {
    let mut stage = reception.main.stage.subscribe();
    let ended = entry.end();
    let end = async {
        tokio::select! {
            () = reached(Stage::Draining, &mut stage) => farewell(),
            () = ended => farewell(),
        }
    };
    let key = Key { process_id: registered.process_id, secret_key: &registered.secret_key };
    converse(client, &key, rights, reception.as_ref(), end).await;
}

impl Operator for Reception {
    fn columns(&self, subject: Subject) -> Vec<Column> {
        use Column::{Number, Text};
        match subject {
            Subject::Cache => stores::CACHE.map(Text).to_vec(),
            Subject::Clients => clients::COLUMNS.to_vec(),
            Subject::Databases => configured::DATABASES.to_vec(),
            Subject::Help => vec![Text("statement"), Text("shows")],
            Subject::Lists => vec![Text("list"), Number("items")],
            Subject::Pools => traffic::POOLS.to_vec(),
            Subject::Stats => traffic::stats_columns(),
            Subject::Stores => stores::STORES.to_vec(),
            Subject::Tables => stores::TABLES.to_vec(),
            Subject::Users => configured::USERS.to_vec(),
            Subject::Version => vec![Text("version")],
        }
    }

    async fn rows(&self, subject: Subject) -> Result<Vec<Row>, PgError> {
        Ok(match subject {
            Subject::Cache => stores::cache(self),
            Subject::Clients => clients::rows(self),
            Subject::Databases => configured::databases(self),
            Subject::Help => help(),
            Subject::Lists => traffic::lists(self),
            Subject::Pools => traffic::pools(self),
            Subject::Stats => traffic::stats(self),
            Subject::Stores => stores::stores(self).await,
            Subject::Tables => return stores::tables(self).await,
            Subject::Users => configured::users(self),
            Subject::Version => vec![vec![concat!("Flywheel ", env!("CARGO_PKG_VERSION")).into()]],
        })
    }

    fn kill_client(&self, id: i32) -> Result<(), PgError> {
        if self.roster.end(id) {
            tracing::info!(client = id, "an operator ends a client's session");
            return Ok(());
        }
        Err(PgError::error(sqlstate::UNDEFINED_OBJECT, format!("there is no client {id}"))
            .with_hint("SHOW CLIENTS tells the numbers, in its column `id`."))
    }

    async fn reload(&self) -> Result<Vec<String>, PgError> {
        self.main.options.reloading.ask().await
    }
}

fn help() -> Vec<Row> {
    let shows = Subject::ALL
        .into_iter()
        .map(|(name, _, what)| vec![format!("SHOW {name}").into(), what.into()]);
    let others = [
        ("KILL_CLIENT id", "ends the session of this number, as SHOW CLIENTS tells it"),
        ("RELOAD", "reads the configuration anew"),
    ];
    shows.chain(others.map(|(name, what)| vec![name.into(), what.into()])).collect()
}
