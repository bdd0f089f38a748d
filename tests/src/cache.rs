//! What SHOW CACHE tells of the first rule.

use tokio_postgres::{Client, SimpleQueryMessage};

/// A column of it.
///
/// # Panics
/// There is no rule, or no such column.
pub async fn shown(client: &Client, name: &str) -> String {
    let messages = client.simple_query("SHOW CACHE").await.expect("SHOW CACHE");
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(name).expect("a column").to_owned()),
        _ => None,
    });
    row.expect("a row")
}

/// A column that is a number.
///
/// # Panics
/// It isn't.
pub async fn count(client: &Client, name: &str) -> i64 {
    shown(client, name).await.parse().expect("a number")
}
