//! SHOW POOLS, STATS and LISTS: what `Figures` has.

use flywheel_console::{Column, Row};
use flywheel_execute::Way;

use crate::reception::Reception;

pub(super) const POOLS: [Column; 14] = [
    Column::Text("database"),
    Column::Text("user"),
    Column::Text("server"),
    Column::Text("of_user"),
    Column::Number("cl_waiting"),
    Column::Number("sv_active"),
    Column::Number("sv_shared"),
    Column::Number("sv_idle"),
    Column::Number("pool_size"),
    Column::Number("total_waits"),
    Column::Number("total_wait_timeouts"),
    Column::Number("total_logins"),
    Column::Number("total_failed_logins"),
    Column::Text("pool_mode"),
];

pub(super) fn pools(reception: &Reception) -> Vec<Row> {
    let row = |(name, pool): (crate::figures::PoolName, crate::figures::PoolFigures)| -> Row {
        let server = match name.replica {
            None => "primary".to_owned(),
            Some(number) => format!("replica{number}"),
        };
        let user = name.user.as_deref().unwrap_or_default();
        let mode = reception.pool_mode(&name.database, user);
        vec![
            name.database.into(),
            name.role.into(),
            server.into(),
            name.user.into(),
            pool.waiting.into(),
            pool.in_use.into(),
            pool.shared.into(),
            pool.idle.into(),
            pool.most.into(),
            pool.waits.into(),
            pool.timeouts.into(),
            pool.logins.into(),
            pool.failed_logins.into(),
            mode.name().into(),
        ]
    };
    reception.figures().pools.into_iter().map(row).collect()
}

pub(super) fn stats_columns() -> Vec<Column> {
    let ways = Way::ALL.into_iter().map(|way| Column::Number(way.name()));
    [Column::Text("database"), Column::Number("total_query_count")]
        .into_iter()
        .chain(ways)
        .collect()
}

/// How many statements, in all and by their ways.
pub(super) fn stats(reception: &Reception) -> Vec<Row> {
    let row = |database: crate::figures::DatabaseFigures| -> Row {
        let all: u64 = database.statements.iter().map(|(_, count)| count).sum();
        let ways = database.statements.iter().map(|(_, count)| (*count).into());
        [database.name.into(), all.into()].into_iter().chain(ways).collect()
    };
    reception.figures().databases.into_iter().map(row).collect()
}

pub(super) fn lists(reception: &Reception) -> Vec<Row> {
    let figures = reception.figures();
    let in_transaction: usize =
        figures.databases.iter().map(|database| database.in_transaction).sum();
    let listening: usize = figures.databases.iter().map(|database| database.listening).sum();
    let waiting: usize = figures.pools.iter().map(|(_, pool)| pool.waiting).sum();
    let row = |(list, items): (&str, usize)| vec![list.into(), items.into()];
    [
        ("databases", figures.databases.len()),
        ("users", reception.rules().users().len()),
        ("pools", figures.pools.len()),
        ("clients", figures.clients.connected),
        ("max_clients", figures.clients.most),
        ("clients_in_transaction", in_transaction),
        ("clients_listening", listening),
        ("clients_waiting", waiting),
        ("unfinished_transactions", figures.unfinished),
    ]
    .map(row)
    .to_vec()
}
