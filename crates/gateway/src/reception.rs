//! Who is let in, to which databases: what clients meet before they have a session.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flywheel_front::{Authenticator, Credentials, Encryption, Registry};
use flywheel_wire::{PgError, sqlstate};

use crate::figures::Arrivals;
use crate::options::{Admission, Options, PoolMode, User};
use crate::places::{MostClients, Places};
use crate::roster::Roster;
use crate::running::Running;
use crate::shared::Shared;
use crate::timeouts::Timeouts;

/// Where clients arrive.
#[derive(Debug)]
pub(crate) struct Reception {
    rules: RwLock<Arc<Rules>>,
    pub(crate) registry: Arc<Registry<Running>>,
    /// The sessions that run.
    pub(crate) roster: Arc<Roster>,
    pub(crate) places: Arc<Places>,
    pub(crate) arrivals: Arrivals,
    pub(crate) main: Arc<Shared>,
    /// The further databases by their names.
    pub(crate) others: HashMap<String, Arc<Shared>>,
}

/// Who is let in, and how.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) authenticator: Authenticator,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) login_timeout: Duration,
    pub(crate) tcp_user_timeout: Option<Duration>,
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
    pub(crate) fn timeouts(&self, user: &str) -> Timeouts {
        self.user(user).map_or(self.timeouts, |user| user.timeouts.or(self.timeouts))
    }

    /// Those who may log in; none: anybody, with `auth = "trust"`.
    pub(crate) fn users(&self) -> &[User] {
        &self.users
    }

    /// The user of this name, where the configuration lists it.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
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
            roster: Arc::default(),
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

    /// The databases that are served: the main one, then the others as they are configured.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &Arc<Shared>> {
        let others = self.main.options.databases.iter();
        std::iter::once(&self.main)
            .chain(others.filter_map(|database| self.others.get(&database.name)))
    }

    /// For how long this user's clients keep a server connection in that database.
    pub(crate) fn pool_mode(&self, database: &str, user: &str) -> PoolMode {
        self.others.get(database).unwrap_or(&self.main).accesses.pool_mode(user)
    }

    /// Whether there is a database of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        name == self.main.options.database || self.others.contains_key(name)
    }

    /// The database of this name.
    pub(crate) fn database(&self, name: &str) -> Result<&Arc<Shared>, PgError> {
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
