//! A client's connection from its first byte: TLS, its login, then a session or the console.

use std::net::SocketAddr;
use std::sync::Arc;

use flywheel_console::Rights;
use flywheel_front::{Client, ClientError, Login, Purpose, receive};
use flywheel_wire::{PgError, sqlstate};
use tokio::net::TcpStream;

use crate::console;
use crate::figures::count;
use crate::reception::{Reception, Rules};
use crate::replication::{check as check_replication, replicate};
use crate::roster::Who;
use crate::session::{Identity, Session};
use crate::shared::Shared;
use crate::stage::{FAREWELL, Stage, farewell, reached};

/// Where a login leads to.
enum Destination {
    Database(Arc<Shared>),
    Console(Rights),
}

/// One client's connection, from its first byte.
pub(crate) async fn connection(reception: Arc<Reception>, stream: TcpStream, peer: SocketAddr) {
    let rules = reception.rules();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "can't set TCP_NODELAY");
    }
    if let Err(error) = flywheel_postgres::watch_for_loss(&stream, rules.tcp_user_timeout) {
        tracing::debug!(%peer, %error, "can't set TCP keepalive");
    }
    let mut client = Client::new(stream);
    let _place = match reception.places.for_address(peer.ip(), &rules.most) {
        Ok(place) => place,
        Err(error) => return turn_away(&reception, &mut client, peer, &error).await,
    };
    let mut stage = reception.main.stage.subscribe();
    let admitting = admit(&reception, &rules, &mut client, peer);
    let admitted = tokio::select! {
        admitted = tokio::time::timeout(rules.login_timeout, admitting) => admitted,
        () = reached(Stage::Cutting, &mut stage) => {
            let _ = tokio::time::timeout(FAREWELL, client.close_with(&farewell())).await;
            return;
        }
    };
    let (destination, mut login) = match admitted {
        Ok(Ok(Some(admitted))) => admitted,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => {
            match error.farewell() {
                Some(farewell) => {
                    tracing::info!(%peer, %error, "login failed");
                    client.close_with(&farewell).await;
                }
                // Load balancers look in this way whether anybody listens.
                None => tracing::debug!(%peer, %error, "a connection was closed before its login"),
            }
            return;
        }
        Err(_) => {
            count(&reception.arrivals.refused);
            tracing::info!(%peer, "login wasn't finished in time");
            let message = format!("login wasn't finished within {:?}", rules.login_timeout);
            return client.close_with(&PgError::fatal(sqlstate::QUERY_CANCELED, message)).await;
        }
    };
    let who = who(&login, &client, peer);
    let shared = match destination {
        Destination::Database(shared) => shared,
        // Operators come in when there is no place left for others.
        Destination::Console(rights) => {
            tracing::info!(%peer, user = login.user, "an operator is at the console");
            let registered = reception.registry.register(login.minor);
            let entry = reception.roster.enter(registered.process_id, who);
            return console::serve(&reception, &mut client, rights, &registered, entry).await;
        }
    };
    let _session = match reception.places.for_session(&login.user, shared.name(), &rules.most) {
        Ok(place) => place,
        Err(error) => return turn_away(&reception, &mut client, peer, &error).await,
    };
    let Some(access) = shared.accesses.of_session(&login.user, rules.users()) else {
        return turn_away(&reception, &mut client, peer, &changed(&login.user)).await;
    };
    tracing::debug!(%peer, user = login.user, database = shared.name(), "session begins");
    count(&reception.arrivals.sessions);
    let registered = reception.registry.register(login.minor);
    let entry = reception.roster.enter(registered.process_id, who);
    if let Some(mode) = login.replication.clone() {
        return replicate(&shared, &access, &mut client, login, mode, &registered).await;
    }
    rules.timeouts(&login.user).apply(&mut login);
    let mode = shared.accesses.pool_mode(&login.user);
    let identity = Identity { user: login.user, access, mode, registered, entry };
    Session::new(shared, client, identity, &login.values).run(&login.values).await;
}

/// The configuration was read anew between a client's login and its session.
fn changed(user: &str) -> PgError {
    let message = format!("user \"{user}\" was changed in the configuration during the login");
    PgError::fatal(sqlstate::CANNOT_CONNECT_NOW, message).with_hint("Connect again.")
}

/// A client gets no session.
async fn turn_away(reception: &Reception, client: &mut Client, peer: SocketAddr, why: &PgError) {
    count(&reception.arrivals.turned_away);
    tracing::info!(%peer, reason = why.message(), "client turned away");
    client.close_with(why).await;
}

/// Startup and authentication; `None` when there is no session to begin.
async fn admit(
    reception: &Reception,
    rules: &Rules,
    client: &mut Client,
    peer: SocketAddr,
) -> Result<Option<(Destination, Login)>, ClientError> {
    let login = match receive(client, rules.encryption.as_ref()).await? {
        Ok(Purpose::Login(login)) => login,
        Ok(Purpose::Cancel { process_id, secret_key }) => {
            reception.registry.cancel(process_id, &secret_key).await;
            return Ok(None);
        }
        Err(error) => {
            tracing::info!(%peer, %error, "login refused");
            count(&reception.arrivals.refused);
            client.close_with(&error).await;
            return Ok(None);
        }
    };
    let admitted = rules.authenticator.authenticate(client, &login.user).await?;
    match admitted.and_then(|()| destination(reception, rules, &login)) {
        Ok(destination) => Ok(Some((destination, login))),
        Err(error) => {
            count(&reception.arrivals.refused);
            tracing::info!(%peer, user = login.user, %error, "login refused");
            client.close_with(&error).await;
            Ok(None)
        }
    }
}

fn destination(
    reception: &Reception,
    rules: &Rules,
    login: &Login,
) -> Result<Destination, PgError> {
    if let Some(rights) = console::rights(reception, login)? {
        return Ok(Destination::Console(rights));
    }
    let database = match login.replication.as_deref() {
        None => reception.database(&login.database)?,
        Some(mode) => {
            check_replication(rules.users(), &login.user)?;
            match mode {
                "database" => reception.database(&login.database)?,
                // Physical replication is of no database.
                _ => &reception.main,
            }
        }
    };
    Ok(Destination::Database(database.clone()))
}

fn who(login: &Login, client: &Client, peer: SocketAddr) -> Who {
    let application = login.values.iter().rfind(|(name, _)| name == "application_name");
    Who {
        user: login.user.clone(),
        database: login.database.clone(),
        peer,
        is_encrypted: client.is_encrypted(),
        application_name: application.map(|(_, name)| name.clone()).unwrap_or_default(),
    }
}
