//! A transaction's changes as the outbox keeps them: JSON that any gateway reads, with columns by
//! name and values as PostgreSQL prints them.
//!
//! ```text
//! [{"store": "fast", "schema": "public", "table": "sessions", "key": ["abc"], "new": true,
//!   "row": {"token": "abc", "user_id": "17"}}, …]
//! ```
//!
//! NULL is an absent column; a deleted row is `null`. A row is new that wasn't there.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{Change, Effect, Expect, TransactionId, text_row};
use flywheel_types::{Key, Row, TableName, Value, text};
use serde_json::{Map, Value as Json, json};

use crate::homes::Catalogue;

/// What a row of the outbox asks for.
#[derive(Debug, Default)]
pub struct Record {
    /// What can be carried out here, in the order in which it was recorded.
    pub changes: Vec<(Arc<Home>, Change)>,
    /// Why something can't; then the row stays for another gateway, or for a later one.
    pub problem: Option<String>,
    /// No gateway writes such a record: whoever may write to store tables may put any row into the
    /// outbox. Nothing of it is carried out.
    pub is_foreign: bool,
}

impl Record {
    /// The changes as the outbox' JSON.
    pub fn encode(changes: &[(Arc<Home>, Change)]) -> String {
        let change = |(home, change): &(Arc<Home>, Change)| {
            let columns = &home.table.table.columns;
            let key: Vec<_> = change.key.values().iter().map(text_row::encode).collect();
            let row = match &change.effect {
                Effect::Put(row) => {
                    let values = columns.iter().zip(row);
                    let texts = values.filter_map(|(column, value)| {
                        Some((column.name.clone(), Json::String(text_row::encode(value)?)))
                    });
                    Json::Object(texts.collect::<Map<_, _>>())
                }
                Effect::Set(_) | Effect::Delete => Json::Null,
            };
            let name = home.name();
            let new = change.expect == Expect::Absent;
            json!({ "store": home.store_name, "schema": name.schema, "table": name.name, "key": key, "new": new, "row": row })
        };
        Json::Array(changes.iter().map(change).collect()).to_string()
    }

    /// The rows that changes are of, as changes that delete them.
    pub fn encode_keys(changes: &[(Arc<Home>, Change)]) -> String {
        let row = |(home, change): &(Arc<Home>, Change)| {
            let key: Vec<_> = change.key.values().iter().map(text_row::encode).collect();
            let name = home.name();
            json!({ "store": home.store_name, "schema": name.schema, "table": name.name, "key": key, "row": null })
        };
        Json::Array(changes.iter().map(row).collect()).to_string()
    }

    /// The same of rows that a block locks, with the name that their locks have.
    pub(crate) fn encode_marks(
        holder: TransactionId,
        home: &Home,
        keys: impl Iterator<Item = Key>,
    ) -> String {
        let name = home.name();
        let row = |key: Key| {
            let key: Vec<_> = key.values().iter().map(text_row::encode).collect();
            json!({ "store": home.store_name, "schema": name.schema, "table": name.name, "key": key, "row": null,
                    "holder": format!("{:x}", holder.id) })
        };
        Json::Array(keys.map(row).collect()).to_string()
    }

    /// The name that the locks of a block's rows have.
    pub(crate) fn holder(text: &str) -> Option<TransactionId> {
        let rows: Json = serde_json::from_str(text).ok()?;
        let id = u128::from_str_radix(rows.get(0)?["holder"].as_str()?, 16).ok()?;
        Some(TransactionId { xid: 0, id })
    }

    /// Reads the outbox' JSON by what is configured here.
    pub fn decode(text: &str, catalogue: &Catalogue) -> Self {
        let mut record = Self::default();
        let changes = match serde_json::from_str(text) {
            Ok(Json::Array(changes)) if !changes.is_empty() && changes.iter().all(is_change) => {
                changes
            }
            _ => {
                record.is_foreign = true;
                return record;
            }
        };
        for change in &changes {
            match read(change, catalogue) {
                Ok(Some(change)) => record.changes.push(change),
                Ok(None) => {}
                Err(problem) => record.problem = Some(problem),
            }
        }
        record
    }
}

/// Whether [`Record::encode`] may have made it. A record of another form has to go into another
/// table, so that gateways that don't know the form leave it alone.
fn is_change(change: &Json) -> bool {
    let are_texts = |key: &Vec<Json>| !key.is_empty() && key.iter().all(Json::is_string);
    ["store", "schema", "table"].iter().all(|name| change[*name].is_string())
        && change["key"].as_array().is_some_and(are_texts)
        && change.get("new").is_none_or(Json::is_boolean)
        && match change.get("row") {
            Some(Json::Object(row)) => row.values().all(Json::is_string),
            row => row.is_some_and(Json::is_null),
        }
}

/// One change; `None` where its table is gone, and its rows and locks with it.
fn read(change: &Json, catalogue: &Catalogue) -> Result<Option<(Arc<Home>, Change)>, String> {
    let text =
        |name: &str| change[name].as_str().ok_or_else(|| format!("a change has no \"{name}\""));
    let (store, name) = (text("store")?, TableName::new(text("schema")?, text("table")?));
    let configured = catalogue.configured().iter().find(|table| table.name == name);
    if configured.is_none_or(|table| table.store_name != store) {
        return Err(format!("table \"{name}\" isn't homed in a store \"{store}\" here"));
    }
    let known = catalogue.known();
    let Some(home) = known.homes.get(&name) else {
        return match known.refused.get(&name) {
            Some(error) => Err(error.message().to_owned()),
            None => Ok(None),
        };
    };
    let table = &home.table.table;
    let value = |position: usize, text: Option<&Json>| match text {
        None => Ok(Value::Null),
        Some(text) => {
            let column = &table.columns[position];
            let value = text.as_str().and_then(|text| text::decode_canonical(&column.ty, text));
            value.ok_or_else(|| {
                format!(
                    "a value of column \"{}\" of table \"{name}\" isn't of its type",
                    column.name
                )
            })
        }
    };
    let parts = change["key"].as_array().filter(|parts| parts.len() == table.primary_key.len());
    let parts = parts.ok_or_else(|| format!("a key isn't that of table \"{name}\""))?;
    let key: Result<Vec<Value>, String> =
        table.primary_key.iter().zip(parts).map(|(&at, part)| value(at, Some(part))).collect();
    let effect = match change["row"].as_object() {
        None => Effect::Delete,
        Some(texts) => {
            let columns = table.columns.iter().enumerate();
            let row: Result<Row, String> =
                columns.map(|(at, column)| value(at, texts.get(&column.name))).collect();
            Effect::Put(row?)
        }
    };
    let change = Change {
        key: Key::new(key?),
        expect: if change["new"] == json!(true) { Expect::Absent } else { Expect::Present },
        effect,
    };
    Ok(Some((home.clone(), change)))
}
