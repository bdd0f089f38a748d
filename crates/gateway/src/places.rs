//! How many clients there are: in all, of a user, in a database, from an address.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flywheel_wire::{PgError, sqlstate};

/// How many there may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MostClients {
    /// In all.
    pub all: usize,
    /// From one address, those counted that haven't logged in; `None`: as many as in all.
    pub of_address: Option<usize>,
    /// Of these users.
    pub of_users: HashMap<String, usize>,
    /// In these databases.
    pub in_databases: HashMap<String, usize>,
}

/// So many may always be logging in, however few may be connected.
const LOGINS: usize = 64;

/// The places that clients have.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Connections, those counted that nobody has logged in on.
    connections: usize,
    /// Sessions.
    all: usize,
    users: HashMap<String, usize>,
    databases: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Address(IpAddr),
    Session { user: String, database: String },
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.taken().all
    }

    /// A place for a connection from this address, which nobody has logged in on yet.
    pub(crate) fn for_address(
        self: &Arc<Self>,
        address: IpAddr,
        most: &MostClients,
    ) -> Result<Place, PgError> {
        let mut taken = self.taken();
        // As PostgreSQL does it: as many may log in as may be connected.
        let logging_in = taken.connections.saturating_sub(taken.all);
        if logging_in >= most.all.max(LOGINS) {
            return Err(full(format!("{logging_in} haven't logged in yet")).with_hint(
                "Lower `limits.login_timeout`, or set `limits.max_connections_per_address`, in Flywheel's configuration.",
            ));
        }
        let count = taken.addresses.entry(address).or_default();
        if let Some(most) = most.of_address.filter(|most| *count >= *most) {
            return Err(full(format!("{most} are connected from {address}")).with_hint(
                "Raise `limits.max_connections_per_address` in Flywheel's configuration.",
            ));
        }
        *count += 1;
        taken.connections += 1;
        Ok(Place { places: self.clone(), of: Of::Address(address) })
    }

    /// A place for a session.
    pub(crate) fn for_session(
        self: &Arc<Self>,
        user: &str,
        database: &str,
        most: &MostClients,
    ) -> Result<Place, PgError> {
        let mut taken = self.taken();
        if taken.all >= most.all {
            return Err(full(format!("{} are connected", taken.all))
                .with_hint("Raise `max_connections` in Flywheel's configuration."));
        }
        let count = |counts: &HashMap<String, usize>, name: &str| {
            counts.get(name).copied().unwrap_or_default()
        };
        let of_user = count(&taken.users, user);
        if most.of_users.get(user).is_some_and(|most| of_user >= *most) {
            return Err(full(format!("{of_user} of user \"{user}\" are connected")).with_hint(
                "Raise the user's `max_connections` under [[users]] in Flywheel's configuration.",
            ));
        }
        let in_database = count(&taken.databases, database);
        if most.in_databases.get(database).is_some_and(|most| in_database >= *most) {
            let what = format!("{in_database} are connected to database \"{database}\"");
            return Err(full(what).with_hint(
                "Raise the database's `max_connections` under [[databases]] in Flywheel's configuration.",
            ));
        }
        taken.all += 1;
        *taken.users.entry(user.to_owned()).or_default() += 1;
        *taken.databases.entry(database.to_owned()).or_default() += 1;
        let of = Of::Session { user: user.to_owned(), database: database.to_owned() };
        Ok(Place { places: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match &self.of {
            Of::Address(address) => {
                taken.connections = taken.connections.saturating_sub(1);
                give_back(&mut taken.addresses, address);
            }
            Of::Session { user, database } => {
                taken.all = taken.all.saturating_sub(1);
                give_back(&mut taken.users, user);
                give_back(&mut taken.databases, database);
            }
        }
    }
}

/// One less; a name or address that nobody has a place of is forgotten.
fn give_back<K, Q>(counts: &mut HashMap<K, usize>, of: &Q)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

fn full(why: String) -> PgError {
    PgError::fatal(
        sqlstate::TOO_MANY_CONNECTIONS,
        format!("sorry, too many clients already: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_do_not_log_in_are_bounded() {
        let places = Arc::new(Places::default());
        let most = MostClients { all: LOGINS, ..MostClients::default() };
        let arrive = |host: usize| {
            let address = IpAddr::from([10, 0, 0, u8::try_from(host).unwrap_or_default()]);
            places.for_address(address, &most)
        };
        let mut silent: Vec<_> = (0..LOGINS).map(|host| arrive(host).expect("a place")).collect();
        assert!(arrive(LOGINS).is_err());
        let session = places.for_session("one", "app", &most).expect("a place");
        let next = arrive(LOGINS).expect("the place of the one that has logged in");
        assert!(arrive(LOGINS + 1).is_err());
        silent.pop();
        drop((session, next));
        assert!(arrive(LOGINS).is_ok());
    }
}
