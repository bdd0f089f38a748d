//! From a configuration to who is let in.

use std::sync::Arc;

use flywheel_config::{self as config, Config};
use flywheel_gateway::options::{Admission, Authentication, Encryption, PoolMode, Rights, User};
use flywheel_gateway::{MostClients, Timeouts};

/// Who is let in, and how.
pub(crate) fn admission(config: &Config) -> Admission {
    let most = |most: Option<u32>| most.map(|most| most as usize);
    let of_users = config.users.iter().map(|user| (&user.name, user.max_connections));
    let in_databases = config.databases.iter().map(|each| (&each.name, each.max_connections));
    let named = |(name, most): (&String, Option<u32>)| Some((name.clone(), most? as usize));
    Admission {
        authentication: match config.authentication {
            config::Authentication::Trust => Authentication::Trust,
            config::Authentication::ScramSha256 => Authentication::ScramSha256,
        },
        users: Arc::new(config.users.iter().map(user).collect()),
        encryption: config
            .tls
            .as_ref()
            .map(|tls| Encryption { acceptor: tls.acceptor.clone(), required: tls.required }),
        most_clients: MostClients {
            all: config.max_connections,
            of_address: most(config.limits.max_connections_per_address),
            of_users: of_users.filter_map(named).collect(),
            in_databases: in_databases.filter_map(named).collect(),
        },
        login_timeout: config.limits.login_timeout,
        tcp_user_timeout: config.limits.tcp_user_timeout,
        timeouts: timeouts(config.limits.timeouts),
    }
}

fn timeouts(timeouts: config::Timeouts) -> Timeouts {
    let config::Timeouts { statement, idle_transaction, idle } = timeouts;
    Timeouts { statement, idle_transaction, idle }
}

fn user(user: &config::User) -> User {
    let secret = |secret: &config::Secret| secret.expose().to_owned();
    User {
        name: user.name.clone(),
        password: user.password.as_ref().map(secret),
        common_names: user.common_names.clone(),
        replication: user.replication,
        console: match (user.admin, user.stats) {
            (true, _) => Some(Rights::All),
            (false, true) => Some(Rights::Show),
            (false, false) => None,
        },
        role: user
            .role
            .as_ref()
            .map(|role| (role.name.clone(), role.password.as_ref().map(secret))),
        timeouts: timeouts(user.timeouts),
        pool_size: user.pool_size,
        pool_mode: user.pool_mode.map(pool_mode),
    }
}

/// For how long clients keep a server connection.
pub(crate) fn pool_mode(mode: config::PoolMode) -> PoolMode {
    match mode {
        config::PoolMode::Transaction => PoolMode::Transaction,
        config::PoolMode::Session => PoolMode::Session,
        config::PoolMode::Statement => PoolMode::Statement,
    }
}
