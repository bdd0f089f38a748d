//! SHOW CLIENTS, with PgBouncer's names for what PgBouncer has, too.

use std::time::{Duration, UNIX_EPOCH};

use flywheel_console::{Column, Row, Value};

use crate::reception::Reception;
use crate::roster::Sight;

pub(super) const COLUMNS: [Column; 13] = [
    Column::Number("id"),
    Column::Text("user"),
    Column::Text("database"),
    Column::Text("application_name"),
    Column::Text("addr"),
    Column::Number("port"),
    Column::Text("tls"),
    Column::Number("connect_time"),
    Column::Text("state"),
    Column::Number("state_ms"),
    Column::Number("wait"),
    Column::Number("wait_us"),
    Column::Text("pinned_by"),
];

pub(super) fn rows(reception: &Reception) -> Vec<Row> {
    reception.roster.all().into_iter().map(row).collect()
}

fn row(sight: Sight) -> Row {
    let waits = if sight.is_waiting() { sight.for_so_long } else { Duration::ZERO };
    let began = sight.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    vec![
        sight.id.into(),
        sight.who.user.into(),
        sight.who.database.into(),
        sight.who.application_name.into(),
        sight.who.peer.ip().to_string().into(),
        sight.who.peer.port().into(),
        if sight.who.is_encrypted { "on" } else { "off" }.into(),
        began.as_secs().into(),
        sight.activity.name().into(),
        sight.for_so_long.as_millis().into(),
        waits.as_secs().into(),
        waits.subsec_micros().into(),
        sight.pin.map_or(Value::Null, Value::from),
    ]
}
