//! The servers of one database, as each role sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use flywheel_answers::Caching;
use flywheel_execute::Around;
use flywheel_postgres::Pool;
use flywheel_statement::TextMemory;

use crate::access::Access;
use crate::options::{Database, Options, PoolMode, User};

/// Those of users with connections of their own, by their names.
type Own = HashMap<String, Arc<Access>>;

/// Whether this user's sessions reach the servers by both lists alike.
fn logs_in_alike(name: &str, one: &[User], other: &[User]) -> bool {
    let login = |users: &[User]| {
        let user = users.iter().find(|user| user.name == name);
        user.map(|user| (user.role.clone(), user.pool_size))
    };
    login(one) == login(other)
}

/// All that have been seen until now.
#[derive(Debug)]
pub(crate) struct Accesses {
    options: Arc<Options>,
    /// Who is known now.
    users: RwLock<Arc<Vec<User>>>,
    /// Which of the further databases it is; `None`: the main one.
    database: Option<Database>,
    /// The servers as those see them who have no connections of their own.
    common: OnceLock<Arc<Access>>,
    /// What is kept by texts.
    memory: Arc<TextMemory>,
    /// As the others see them, by user.
    own: Mutex<Own>,
}

impl Accesses {
    /// Of the database. Contacts nobody.
    pub(crate) fn new(
        options: Arc<Options>,
        database: Option<Database>,
        memory: Arc<TextMemory>,
    ) -> Self {
        let users = RwLock::new(options.admission.users.clone());
        Self { options, users, database, common: OnceLock::new(), memory, own: Mutex::default() }
    }

    fn users(&self) -> Arc<Vec<User>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are the users from now on. Who has another login or pool gets connections of its own
    /// anew; sessions that have begun keep those that they use.
    pub(crate) fn become_known(&self, users: &Arc<Vec<User>>) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.users();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users.clone();
        own.retain(|name, _| logs_in_alike(name, &before, users));
    }

    /// The servers as they have been seen until now: by those who have no connections of their own,
    /// and by the others with their names.
    pub(crate) fn known(&self) -> Vec<(Option<String>, Arc<Access>)> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own: Vec<_> =
            own.iter().map(|(user, access)| (Some(user.clone()), access.clone())).collect();
        own.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let common = self.common.get().map(|access| (None, access.clone()));
        common.into_iter().chain(own).collect()
    }

    pub(crate) fn common(&self) -> &Arc<Access> {
        let servers = &self.options.servers;
        self.common.get_or_init(|| {
            Arc::new(match &self.database {
                None => Access::new(servers.clone(), self.memory.clone()),
                database => Access::under(servers, database.as_ref(), None, self.memory.clone()),
            })
        })
    }

    /// The servers as a session sees them whose client has logged in by these users. `None`: others
    /// are known meanwhile, by which it might have another role, or not be let in.
    pub(crate) fn of_session(&self, user: &str, by: &[User]) -> Option<Arc<Access>> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        logs_in_alike(user, by, &self.users()).then(|| self.among(own, user))
    }

    /// The servers as this user's sessions see them.
    pub(crate) fn of(&self, user: &str) -> Arc<Access> {
        self.among(self.own.lock().unwrap_or_else(PoisonError::into_inner), user)
    }

    fn among(&self, mut own: MutexGuard<'_, Own>, user: &str) -> Arc<Access> {
        let users = self.users();
        let has_own = |user: &&User| user.role.is_some() || user.pool_size.is_some();
        let Some(user) = users.iter().find(|each| each.name == user).filter(has_own) else {
            return self.common().clone();
        };
        own.entry(user.name.clone())
            .or_insert_with(|| {
                let (servers, database) = (&self.options.servers, self.database.as_ref());
                Arc::new(Access::under(servers, database, Some(user), self.memory.clone()))
            })
            .clone()
    }

    /// For how long this user's sessions keep a server connection.
    pub(crate) fn pool_mode(&self, user: &str) -> PoolMode {
        let users = self.users();
        let of_user = users.iter().find(|each| each.name == user).and_then(|user| user.pool_mode);
        let of_database = || self.database.as_ref().and_then(|database| database.pool_mode);
        of_user.or_else(of_database).unwrap_or(self.options.pool_mode)
    }

    /// Connections for what is Flywheel's own.
    pub(crate) fn pool(&self) -> &Pool {
        &self.common().servers().primary.pool
    }
}

/// What store tables need of a database's servers and of its cache.
#[derive(Debug)]
pub(crate) struct AroundStores {
    pub(crate) accesses: Arc<Accesses>,
    pub(crate) caching: Option<Arc<Caching>>,
}

impl Around for AroundStores {
    fn pool(&self) -> &Pool {
        self.accesses.pool()
    }

    fn has_roles(&self) -> bool {
        self.accesses.users().iter().any(|user| user.role.is_some())
    }

    fn written_to(&self, tables: &[u32]) {
        if let Some(caching) = &self.caching {
            caching.written_to(tables.iter().copied());
        }
    }
}
