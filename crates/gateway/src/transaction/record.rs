//! A transaction's changes as the outbox keeps them: JSON that any gateway reads, with columns by name and values as PostgreSQL prints them.
//!
//! ```text
//! [{"store": "fast", "schema": "public", "table": "sessions", "key": ["abc"], "new": true, "row": {"token": "abc", "user_id": "17"}}, …]
//! ```
//!
//! NULL is an absent column; a deleted row is `null`. A row is new that wasn't there.

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_store::{Change, Effect, Expect, text_row};
use flywheel_types::{Key, Row, TableName, Value, text};
use serde_json::{Map, Value as Json, json};

use crate::homes::Catalogue;

/// What a row of the outbox asks for.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What can be carried out here, in the order in which it was recorded.
    pub(crate) changes: Vec<(Arc<Home>, Change)>,
    /// Why something can't; then the row stays for another gateway, or for a later one.
    pub(crate) problem: Option<String>,
}

impl Record {
    /// The changes as the outbox' JSON.
    pub(crate) fn encode(changes: &[(Arc<Home>, Change)]) -> String {
        let change = |(home, change): &(Arc<Home>, Change)| {
            let columns = &home.table.table.columns;
            let key: Vec<_> = change.key.values().iter().map(text_row::encode).collect();
            let row = match &change.effect {
                Effect::Put(row) => {
                    let values = columns.iter().zip(row);
                    let texts = values.filter_map(|(column, value)| Some((column.name.clone(), Json::String(text_row::encode(value)?))));
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

    /// Reads the outbox' JSON by what is configured here.
    pub(crate) fn decode(text: &str, catalogue: &Catalogue) -> Self {
        let mut record = Self::default();
        let Ok(Json::Array(changes)) = serde_json::from_str(text) else {
            record.problem = Some("it isn't a list of changes".into());
            return record;
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

/// One change; `None` where its table is gone, and its rows and locks with it.
fn read(change: &Json, catalogue: &Catalogue) -> Result<Option<(Arc<Home>, Change)>, String> {
    let text = |name: &str| change[name].as_str().ok_or_else(|| format!("a change has no \"{name}\""));
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
            value.ok_or_else(|| format!("a value of column \"{}\" of table \"{name}\" isn't of its type", column.name))
        }
    };
    let parts = change["key"].as_array().filter(|parts| parts.len() == table.primary_key.len());
    let parts = parts.ok_or_else(|| format!("a key isn't that of table \"{name}\""))?;
    let key: Result<Vec<Value>, String> = table
        .primary_key
        .iter()
        .zip(parts)
        .map(|(&at, part)| value(at, Some(part)))
        .collect();
    let effect = match change["row"].as_object() {
        None => Effect::Delete,
        Some(texts) => {
            let columns = table.columns.iter().enumerate();
            let row: Result<Row, String> = columns.map(|(at, column)| value(at, texts.get(&column.name))).collect();
            Effect::Put(row?)
        }
    };
    let change = Change {
        key: Key::new(key?),
        expect: if change["new"] == json!(true) {
            Expect::Absent
        } else {
            Expect::Present
        },
        effect,
    };
    Ok(Some((home.clone(), change)))
}
