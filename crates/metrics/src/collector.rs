//! The gateway's figures as families of metrics.

use std::fmt;
use std::sync::Arc;

use flywheel_gateway::Gateway;
use flywheel_gateway::figures::{
    CacheFigures, ClientFigures, ClusterFigures, DatabaseFigures, Figures, PoolFigures, PoolName,
    RuleFigures,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use crate::families::{Families, Labels};
use crate::operations::Operations;

/// What of a rule's values is so much now; the others only grow.
const KEPT: [&str; 2] = ["entries", "bytes"];
/// What the others are.
const CACHE_COUNTS: [(&str, &str); 6] = [
    ("hits", "Answers that were given from memory"),
    ("misses", "Answers that weren't there"),
    ("fills", "Answers that were read and kept"),
    ("shared", "Answers that another gateway had read"),
    ("waits", "Statements that waited for another's answer"),
    ("stale", "Answers that were given after their ttl"),
];

/// Asks a gateway, and what was measured of its stores, at each scrape.
#[derive(Debug)]
pub(crate) struct OfGateway {
    pub(crate) gateway: Gateway,
    pub(crate) stores: Vec<Arc<Operations>>,
}

impl Collector for OfGateway {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let figures = self.gateway.figures();
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        families.info("flywheel_build", "Which Flywheel it is", &version)?;
        clients(&figures.clients, &mut families)?;
        statements(&figures.databases, &mut families)?;
        families.gauge(
            "flywheel_unfinished_transactions",
            "Committed transactions that could not be carried out in their stores when that was last tried",
            None,
            alone(figures.unfinished),
        )?;
        families.gauge(
            "flywheel_foreign_records",
            "Rows of flywheel.outbox that were put aside, since no gateway has written them",
            None,
            alone(figures.foreign),
        )?;
        families.gauge(
            "flywheel_statement_memory",
            "What is kept of statements by their texts, about",
            Some(Unit::Bytes),
            alone(figures.statement_memory.bytes),
        )?;
        families.gauge(
            "flywheel_statement_memory_max",
            "How much of it may be kept",
            Some(Unit::Bytes),
            alone(figures.statement_memory.most_bytes),
        )?;
        pools(&figures, &mut families)?;
        if let Some(cluster) = &figures.cluster {
            servers(cluster, &mut families)?;
        }
        if let Some(cache) = &figures.cache {
            rules(cache, &mut families)?;
        }
        Operations::encode(self.stores.iter().map(Arc::as_ref), &mut families)
    }
}

/// One sample without labels.
fn alone<V>(value: V) -> [(Labels, V); 1] {
    [(Vec::new(), value)]
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn clients(clients: &ClientFigures, families: &mut Families<'_>) -> fmt::Result {
    families.gauge(
        "flywheel_clients",
        "Clients that are connected",
        None,
        alone(clients.connected),
    )?;
    families.gauge(
        "flywheel_max_clients",
        "How many clients may be connected",
        None,
        alone(clients.most),
    )?;
    families.counter(
        "flywheel_client_sessions",
        "Sessions of clients that have begun",
        alone(clients.sessions),
    )?;
    families.counter(
        "flywheel_client_logins_refused",
        "Logins of clients that were refused or weren't finished in time",
        alone(clients.refused),
    )?;
    families.counter(
        "flywheel_clients_turned_away",
        "Clients that were turned away since there were too many",
        alone(clients.turned_away),
    )
}

fn statements(databases: &[DatabaseFigures], families: &mut Families<'_>) -> fmt::Result {
    let of = |database: &DatabaseFigures| vec![("database", database.name.clone())];
    families.gauge(
        "flywheel_sessions_in_transaction",
        "Sessions that are in a transaction, busy or not",
        None,
        databases.iter().map(|database| (of(database), database.in_transaction)),
    )?;
    families.gauge(
        "flywheel_listening_sessions",
        "Sessions that listen to notifications, over one connection a database",
        None,
        databases.iter().map(|database| (of(database), database.listening)),
    )?;
    families.counter(
        "flywheel_listener_renewals",
        "Connections that listen for sessions which were lost and made anew: notifications may have been missed",
        databases.iter().map(|database| (of(database), database.listener_renewals)),
    )?;
    let samples = databases.iter().flat_map(|database| {
        let labels = |way: &str| vec![("database", database.name.clone()), ("way", way.to_owned())];
        database.statements.iter().map(move |(way, count)| (labels(way.name()), *count))
    });
    families.counter(
        "flywheel_statements",
        "Statements that were answered, or failed, by the way that they took",
        samples,
    )
}

/// A server's name: hosts change places, these names don't.
fn server(replica: Option<usize>) -> String {
    replica.map_or_else(|| "primary".to_owned(), |number| format!("replica{number}"))
}

fn pools(figures: &Figures, families: &mut Families<'_>) -> fmt::Result {
    let labels = |name: &PoolName| {
        vec![
            ("database", name.database.clone()),
            ("role", name.role.clone()),
            ("user", name.user.clone().unwrap_or_default()),
            ("server", server(name.replica)),
        ]
    };
    let all = || figures.pools.iter();
    let gauges =
        |of: fn(&PoolFigures) -> u64| all().map(move |(name, pool)| (labels(name), of(pool)));
    families.gauge(
        "flywheel_pool_connections",
        "Server connections that are open",
        None,
        all().flat_map(|(name, pool)| {
            [("idle", pool.idle), ("in_use", pool.in_use)].map(|(state, count)| {
                let mut labels = labels(name);
                labels.push(("state", state.to_owned()));
                (labels, count)
            })
        }),
    )?;
    families.gauge(
        "flywheel_pool_shared_connections",
        "Those of the server connections in use that many clients use at the same time",
        None,
        gauges(|pool| whole(pool.shared)),
    )?;
    families.gauge(
        "flywheel_pool_max_connections",
        "How many server connections there may be",
        None,
        gauges(|pool| pool.most.into()),
    )?;
    families.gauge(
        "flywheel_pool_waiting",
        "Statements that wait for a server connection",
        None,
        gauges(|pool| whole(pool.waiting)),
    )?;
    families.counter(
        "flywheel_pool_waits",
        "How often a server connection had to be waited for",
        gauges(|pool| pool.waits),
    )?;
    families.counter(
        "flywheel_pool_timeouts",
        "How often a server connection was waited for in vain",
        gauges(|pool| pool.timeouts),
    )?;
    families.counter(
        "flywheel_pool_logins",
        "Logins to the server that succeeded",
        gauges(|pool| pool.logins),
    )?;
    families.counter(
        "flywheel_pool_login_failures",
        "Logins to the server that failed",
        gauges(|pool| pool.failed_logins),
    )
}

fn servers(cluster: &ClusterFigures, families: &mut Families<'_>) -> fmt::Result {
    families.gauge(
        "flywheel_primary_known",
        "Whether there is a primary: 1, or 0",
        None,
        alone(u32::from(cluster.primary.is_some())),
    )?;
    if let Some(host) = &cluster.primary {
        families.info(
            "flywheel_primary",
            "Who is the primary",
            &vec![("host", host.to_string())],
        )?;
    }
    let all = || {
        cluster.replicas.iter().enumerate().map(|(at, replica)| {
            let labels = vec![("server", server(Some(at + 1))), ("host", replica.host.to_string())];
            (labels, replica)
        })
    };
    families.gauge(
        "flywheel_replica_usable",
        "Whether a replica is read from: 1, or 0 since it fails, isn't a replica now or is too far behind",
        None,
        all().map(|(labels, replica)| (labels, u32::from(replica.is_used))),
    )?;
    families.gauge(
        "flywheel_replica_lag",
        "How long a replica has been without something that the primary has",
        Some(Unit::Seconds),
        all().filter_map(|(labels, replica)| Some((labels, replica.lag?.0.as_secs_f64()))),
    )?;
    families.gauge(
        "flywheel_replica_lag",
        "How much of the primary's log a replica has yet to replay",
        Some(Unit::Bytes),
        all().filter_map(|(labels, replica)| Some((labels, replica.lag?.1))),
    )?;
    families.gauge(
        "flywheel_replica_statements",
        "Statements that are under way on a replica",
        None,
        all().map(|(labels, replica)| (labels, replica.busy)),
    )?;
    families.counter(
        "flywheel_replica_ejections",
        "How often a replica was given up since it had failed a statement",
        all().map(|(labels, replica)| (labels, replica.ejections)),
    )
}

fn rules(cache: &CacheFigures, families: &mut Families<'_>) -> fmt::Result {
    let number = |rule: &RuleFigures| ("rule", rule.number.to_string());
    let values = |name: &'static str| {
        cache.rules.iter().filter_map(move |rule| {
            let (_, value) = rule.values.iter().find(|(known, _)| *known == name)?;
            Some((vec![number(rule)], u64::try_from(*value).unwrap_or_default()))
        })
    };
    // Whatever SHOW CACHE counts is counted here.
    let counts = cache.rules.first().map(|rule| rule.values.as_slice()).unwrap_or_default();
    for &(name, _) in counts.iter().filter(|(name, _)| !KEPT.contains(name)) {
        let help = CACHE_COUNTS.iter().find(|(known, _)| *known == name);
        let help = help.map_or("As SHOW CACHE counts it", |(_, help)| help);
        families.counter(&format!("flywheel_cache_{name}"), help, values(name))?;
    }
    let bypasses = cache.rules.iter().flat_map(|rule| {
        let labels = |reason: &str| vec![number(rule), ("reason", reason.to_owned())];
        rule.bypasses.iter().map(move |(reason, count)| (labels(reason.name()), *count))
    });
    families.counter(
        "flywheel_cache_bypasses",
        "Statements that went past the cache although the rule is for them",
        bypasses,
    )?;
    families.gauge("flywheel_cache_entries", "Answers that are kept", None, values("entries"))?;
    families.gauge(
        "flywheel_cache",
        "Memory that answers take",
        Some(Unit::Bytes),
        values("bytes"),
    )?;
    families.gauge(
        "flywheel_cache_rule_problems",
        "How much is known to be wrong with a rule: SHOW CACHE says what",
        None,
        cache.rules.iter().map(|rule| (vec![number(rule)], rule.problems.len())),
    )?;
    families.gauge(
        "flywheel_cache_rule_lag",
        "How old the news of others' writes may be by which a rule's answers end, where it needs them and it is known",
        Some(Unit::Seconds),
        cache
            .rules
            .iter()
            .filter_map(|rule| Some((vec![number(rule)], rule.lag?.as_secs_f64()))),
    )?;
    families.gauge(
        "flywheel_cache_max",
        "How much memory answers of all rules may take",
        Some(Unit::Bytes),
        alone(cache.most_bytes),
    )?;
    if let Some(lag) = cache.sharing {
        families.gauge(
            "flywheel_sharing_heard",
            "Whether it is known what is written through other gateways: 1, or 0",
            None,
            alone(u32::from(lag.is_some())),
        )?;
        families.gauge(
            "flywheel_sharing_lag",
            "How old the news of writes through other gateways may be",
            Some(Unit::Seconds),
            lag.map(|lag| (Vec::new(), lag.as_secs_f64())),
        )?;
    }
    let Some(following) = cache.following else { return Ok(()) };
    families.gauge(
        "flywheel_cache_replication_followed",
        "Whether it is known what is written past the gateway: 1, or 0",
        None,
        alone(u32::from(following.lag.is_some())),
    )?;
    families.gauge(
        "flywheel_cache_replication_lag",
        "How old the news of writes past the gateway may be",
        Some(Unit::Seconds),
        following.lag.map(|lag| (Vec::new(), lag.as_secs_f64())),
    )?;
    families.gauge(
        "flywheel_cache_replication_retained_wal",
        "How much of its log PostgreSQL keeps for the news",
        Some(Unit::Bytes),
        alone(following.retained),
    )
}
