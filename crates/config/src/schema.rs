//! The JSON schema of the file: what all files have in common, and each kind's own keys at their
//! places.

use flywheel_kind::{Keys, Kinds};
use serde_json::{Map, Value, json};

use crate::file::{EmbeddedPostgresKeys, File, PostgresKeys};

/// `kind` of the PostgreSQL store.
pub(crate) const POSTGRES: &str = "postgres";
/// `kind` of the PostgreSQL that comes along.
pub(crate) const EMBEDDED_POSTGRES: &str = "embedded-postgres";

/// The JSON schema of a file whose stores may be PostgreSQL and of these kinds.
#[must_use]
pub fn schema(kinds: Kinds<'_>) -> Value {
    let mut root = schemars::schema_for!(File).to_value();
    let mut stores = vec![store(POSTGRES, Keys::of::<PostgresKeys>().store, &mut root)];
    for kind in kinds {
        let Keys { store: keys, table, index } = kind.keys();
        stores.push(store(kind.name(), keys, &mut root));
        add_properties("Table", table, &mut root);
        add_properties("Index", index, &mut root);
    }
    let embedded = Keys::of::<EmbeddedPostgresKeys>().store;
    stores.push(store(EMBEDDED_POSTGRES, embedded, &mut root));
    root["$defs"]["Store"] = json!({ "description": "A store of rows.", "oneOf": stores });
    root
}

/// The schema of a store's section. What it defines goes to the root.
fn store(kind: &str, keys: Value, root: &mut Value) -> Value {
    let mut keys = without_definitions(keys, root);
    let mut properties = keys.remove("properties").unwrap_or_else(|| json!({}));
    properties["kind"] = json!({ "type": "string", "const": kind });
    let mut required = vec![json!("kind")];
    if let Some(Value::Array(others)) = keys.remove("required") {
        required.extend(others);
    }
    keys.insert("properties".into(), properties);
    keys.insert("required".into(), required.into());
    keys.into()
}

/// Adds a kind's own keys to a definition of the root.
fn add_properties(name: &str, keys: Value, root: &mut Value) {
    let mut keys = without_definitions(keys, root);
    if let Some(Value::Object(properties)) = keys.remove("properties") {
        for (key, property) in properties {
            root["$defs"][name]["properties"][key] = property;
        }
    }
}

/// A schema without what is the root's: its definitions, and what says that it is a whole one.
fn without_definitions(schema: Value, root: &mut Value) -> Map<String, Value> {
    let Value::Object(mut schema) = schema else {
        return Map::new();
    };
    if let Some(Value::Object(definitions)) = schema.remove("$defs") {
        for (name, definition) in definitions {
            root["$defs"][name] = definition;
        }
    }
    schema.remove("$schema");
    schema.remove("title");
    schema
}
