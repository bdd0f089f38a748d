//! What a client meets before it has a session: TLS, its login, the limits of how many there may be.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flywheel_front::{
    Authenticator, Client, ClientError, Credentials, Encryption, Login, Purpose, Registry, receive,
};
use flywheel_wire::{PgError, sqlstate};
use tokio::net::TcpStream;

use crate::figures::{Arrivals, count};
use crate::options::{Admission, Options, User};
use crate::places::{MostClients, Places};
use crate::replication::{check as check_replication, replicate};
use crate::running::Running;
use crate::session::Session;
use crate::shared::Shared;
use crate::stage::{Stage, reached};
use crate::timeouts::Timeouts;

/// Where clients arrive.
#[derive(Debug)]
pub(crate) struct Reception {
    rules: RwLock<Arc<Rules>>,
    registry: Arc<Registry<Running>>,
    pub(crate) places: Arc<Places>,
    pub(crate) arrivals: Arrivals,
    pub(crate) main: Arc<Shared>,
    /// The further databases by their names.
    pub(crate) others: HashMap<String, Arc<Shared>>,
}

/// Who is let in, and how.
#[derive(Debug)]
pub(crate) struct Rules {
    authenticator: Authenticator,
    encryption: Option<Encryption>,
    login_timeout: Duration,
    tcp_user_timeout: Option<Duration>,
    /// How many may be connected.
    pub(crate) most: MostClients,
    users: Arc<Vec<User>>,
    timeouts: Timeouts,
}

impl Rules {
    fn new(options: &Admission) -> Self {
        let users = options.users.iter().map(|user| Credentials {
            name: &user.name,
            password: user.password.as_deref(),
            common_names: &user.common_names,
        });
        Self {
            authenticator: Authenticator::new(options.authentication, users),
            encryption: options.encryption.clone(),
            login_timeout: options.login_timeout,
            tcp_user_timeout: options.tcp_user_timeout,
            most: options.most_clients.clone(),
            users: options.users.clone(),
            timeouts: options.timeouts,
        }
    }

    /// How long this user's clients may take.
    fn timeouts(&self, user: &str) -> Timeouts {
        let user = self.users.iter().find(|each| each.name == user);
        user.map_or(self.timeouts, |user| user.timeouts.or(self.timeouts))
    }
}

impl Reception {
    pub(crate) fn new(
        options: &Options,
        main: Arc<Shared>,
        others: HashMap<String, Arc<Shared>>,
    ) -> Self {
        Self {
            rules: RwLock::new(Arc::new(Rules::new(&options.admission))),
            registry: Arc::default(),
            places: Arc::default(),
            arrivals: Arrivals::default(),
            main,
            others,
        }
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever comes from now on is let in by these rules. Sessions that have begun go on.
    pub(crate) fn admit_by(&self, admission: &Admission) {
        let rules = Arc::new(Rules::new(admission));
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        for shared in std::iter::once(&self.main).chain(self.others.values()) {
            shared.accesses.become_known(&admission.users);
        }
    }

    /// The database of this name.
    fn database(&self, name: &str) -> Result<&Arc<Shared>, PgError> {
        let options = &self.main.options;
        if name == options.database {
            return Ok(&self.main);
        }
        self.others.get(name).ok_or_else(|| {
            let names = std::iter::once(&options.database)
                .chain(options.databases.iter().map(|database| &database.name));
            let names: Vec<_> = names.map(|name| format!("\"{name}\"")).collect();
            PgError::fatal(
                sqlstate::INVALID_CATALOG_NAME,
                format!("database \"{name}\" does not exist"),
            )
            .with_hint(format!("This gateway serves the database {}.", names.join(", ")))
        })
    }
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
        () = reached(Stage::Cutting, &mut stage) => return,
    };
    let (shared, mut login) = match admitted {
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
    let _session = match reception.places.for_session(&login.user, shared.name(), &rules.most) {
        Ok(place) => place,
        Err(error) => return turn_away(&reception, &mut client, peer, &error).await,
    };
    let Some(access) = shared.accesses.of_session(&login.user, &rules.users) else {
        return turn_away(&reception, &mut client, peer, &changed(&login.user)).await;
    };
    tracing::debug!(%peer, user = login.user, database = shared.name(), "session begins");
    count(&reception.arrivals.sessions);
    let registered = reception.registry.register(login.minor);
    if let Some(mode) = login.replication.clone() {
        return replicate(&shared, &access, &mut client, login, mode, &registered).await;
    }
    rules.timeouts(&login.user).apply(&mut login);
    let values = login.values.clone();
    Session::new(shared, access, client, login, registered).run(&values).await;
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
) -> Result<Option<(Arc<Shared>, Login)>, ClientError> {
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
    let database = match login.replication.as_deref() {
        None => reception.database(&login.database),
        Some(mode) => {
            check_replication(&rules.users, &login.user).and_then(|()| match mode {
                "database" => reception.database(&login.database),
                // Physical replication is of no database.
                _ => Ok(&reception.main),
            })
        }
    };
    match admitted.and(database) {
        Ok(database) => Ok(Some((database.clone(), login))),
        Err(error) => {
            count(&reception.arrivals.refused);
            tracing::info!(%peer, user = login.user, %error, "login refused");
            client.close_with(&error).await;
            Ok(None)
        }
    }
}
