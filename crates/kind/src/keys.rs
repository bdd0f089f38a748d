//! A kind's keys in the file.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// A kind's own keys, as JSON schemas of objects. What they define besides (`$defs`) has one
/// meaning in all kinds of a program.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The keys of `[stores.x]`, without `kind`.
    pub store: Value,
    /// The keys of `[[tables]]` beyond those that all tables have.
    pub table: Value,
    /// The keys of a table's index beyond those that all indexes have.
    pub index: Value,
}

impl Keys {
    /// A kind with these keys of `[stores.x]` and no keys of tables. Their type's description is
    /// the kind's.
    #[must_use]
    pub fn of<S: JsonSchema>() -> Self {
        Self { store: schema::<S>(), table: json!({}), index: json!({}) }
    }

    /// The same with these keys of `[[tables]]`.
    #[must_use]
    pub fn with_table<T: JsonSchema>(self) -> Self {
        Self { table: schema::<T>(), ..self }
    }

    /// The same with these keys of a table's index.
    #[must_use]
    pub fn with_index<I: JsonSchema>(self) -> Self {
        Self { index: schema::<I>(), ..self }
    }

    /// Whether a table of this kind has the key.
    #[must_use]
    pub fn has_table_key(&self, key: &str) -> bool {
        properties(&self.table).is_some_and(|keys| keys.contains_key(key))
    }

    /// Whether a table's index of this kind has the key.
    #[must_use]
    pub fn has_index_key(&self, key: &str) -> bool {
        properties(&self.index).is_some_and(|keys| keys.contains_key(key))
    }
}

fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}
