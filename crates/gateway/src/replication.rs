//! Replication connections (`replication=database` or `true` in the StartupMessage): the client's
//! own connection to the primary, whose bytes pass as they are.

use std::sync::Arc;

use flywheel_postgres::Connection;
use flywheel_wire::backend::{self, TransactionStatus};
use flywheel_wire::{PgError, sqlstate};

use flywheel_front::{Client, ClientError, Login};

use crate::access::Access;
use crate::options::User;
use crate::running::{Registered, Running};
use crate::shared::Shared;
use crate::stage::{Stage, reached};

/// Whether a user may have one. The server sees the role of the store's url only, so that it can't
/// tell: nobody may who isn't listed.
pub(crate) fn check(users: &[User], name: &str) -> Result<(), PgError> {
    if users.iter().any(|user| user.name == name && user.replication) {
        return Ok(());
    }
    let message = format!("user \"{name}\" may not open replication connections");
    Err(PgError::fatal(sqlstate::INSUFFICIENT_PRIVILEGE, message).with_hint(
        "List the user under [[users]] in Flywheel's configuration, with `replication = true`.",
    ))
}

/// Logs in to the primary and passes bytes between it and the client until one of them ends, or the
/// gateway does.
pub(crate) async fn replicate(
    shared: &Arc<Shared>,
    access: &Access,
    client: &mut Client,
    login: Login,
    mode: String,
    registered: &Registered,
) {
    let mut parameters = login.values;
    parameters.push(("replication".to_owned(), mode));
    let server = match access.servers().primary.pool.connect_apart(&parameters).await {
        Ok(server) => server,
        Err(error) => return client.close_with(&error.to_pg().into_fatal()).await,
    };
    *registered.handle.server.lock().await = server.cancel_key().cloned().map(Running::Connection);
    backend::authentication_ok(&mut client.out);
    let mut reported: Vec<_> = server.parameters().iter().collect();
    reported.sort();
    for (name, value) in reported {
        backend::parameter_status(&mut client.out, name, value);
    }
    backend::backend_key_data(&mut client.out, registered.process_id, &registered.secret_key);
    backend::ready_for_query(&mut client.out, TransactionStatus::Idle);
    let mut stage = shared.stage.subscribe();
    let passed = tokio::select! {
        // In the middle of a message nothing can be told: a receiver takes it as a server that has
        // stopped, and connects again.
        () = reached(Stage::Draining, &mut stage) => Ok(()),
        passed = pass_through(client, server) => passed,
    };
    if let Err(error) = passed {
        tracing::debug!(user = login.user, %error, "replication connection ended");
    }
    *registered.handle.server.lock().await = None;
}

async fn pass_through(client: &mut Client, server: Connection) -> Result<(), ClientError> {
    let (stream, pending) = client.stream().await?;
    Ok(server.pass_through(stream, pending).await?)
}
