//! The JSON schema and the example files fit each other: every key of the examples is in the
//! schema, and every key of the schema in the examples, at its place.

mod support;

use std::collections::BTreeSet;

use flywheel_cli::KINDS;
use flywheel_config::schema;
use serde_json::Value;
use support::{EMBEDDED, PRODUCTION, uncommented};

/// Follows a file through the schema.
struct Walk<'a> {
    root: &'a Value,
    /// The schema's properties that were met, as JSON pointers.
    met: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// What a pointer leads to, past references, and where that stands.
    fn follow(&self, pointer: String) -> (String, &'a Value) {
        let schema =
            self.root.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} isn't in the schema"));
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.follow(reference.trim_start_matches('#').to_owned()),
            None => (pointer, schema),
        }
    }

    fn value(&mut self, value: &Value, pointer: String) {
        let (pointer, schema) = self.follow(pointer);
        for choice in ["oneOf", "anyOf"] {
            if let Some(options) = schema.get(choice).and_then(Value::as_array) {
                let mut fitting =
                    (0..options.len()).map(|index| format!("{pointer}/{choice}/{index}"));
                let fits = fitting.find(|option| self.fits(value, option.clone()));
                return self
                    .value(value, fits.unwrap_or_else(|| panic!("{value} is none of {pointer}")));
            }
        }
        assert!(self.fits(value, pointer.clone()), "{value} isn't as {pointer} says");
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| self.member(key, member, &pointer, schema))
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.value(item, format!("{pointer}/items")))
            }
            _ => {}
        }
    }

    fn member(&mut self, key: &str, member: &Value, pointer: &str, schema: &Value) {
        let property = format!("{pointer}/properties/{key}");
        if self.root.pointer(&property).is_some() {
            self.met.insert(property.clone());
            self.value(member, property);
        } else {
            assert!(schema["additionalProperties"].is_object(), "`{key}` isn't in {pointer}");
            self.value(member, format!("{pointer}/additionalProperties"));
        }
    }

    /// Whether the value has the type, the constant and the `kind` that the schema asks for.
    fn fits(&self, value: &Value, pointer: String) -> bool {
        let (pointer, schema) = self.follow(pointer);
        if let Some(options) =
            schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
        {
            let choice = if schema.get("anyOf").is_some() { "anyOf" } else { "oneOf" };
            return (0..options.len())
                .any(|index| self.fits(value, format!("{pointer}/{choice}/{index}")));
        }
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let has_type = match &schema["type"] {
            Value::Array(types) => types.iter().any(|each| each == name),
            only => only == name,
        };
        let is_constant = schema.get("const").is_none_or(|constant| constant == value);
        let is_kind = schema
            .pointer("/properties/kind/const")
            .is_none_or(|kind| value.get("kind") == Some(kind));
        let has_required = schema["required"].as_array().is_none_or(|required| {
            required.iter().all(|key| value.get(key.as_str().unwrap_or_default()).is_some())
        });
        has_type && is_constant && is_kind && has_required
    }
}

/// Pointers to all properties below this one.
fn properties(schema: &Value, pointer: &str, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (key, member) in members {
                let inner = format!("{pointer}/{key}");
                if pointer.ends_with("/properties") {
                    found.insert(inner.clone());
                }
                properties(member, &inner, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                properties(item, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn json(file: &str) -> Value {
    toml::from_str(file).expect("TOML")
}

#[test]
fn the_examples_are_as_the_schema_says() {
    let root = schema(KINDS);
    for file in [EMBEDDED, PRODUCTION] {
        for text in [file.to_owned(), uncommented(file)] {
            let mut walk = Walk { root: &root, met: BTreeSet::new() };
            walk.value(&json(&text), String::new());
        }
    }
}

#[test]
fn every_key_is_in_an_example_at_its_place() {
    let root = schema(KINDS);
    let mut walk = Walk { root: &root, met: BTreeSet::new() };
    for file in [EMBEDDED, PRODUCTION] {
        walk.value(&json(&uncommented(file)), String::new());
    }
    let mut all = BTreeSet::new();
    properties(&root, "", &mut all);
    assert!(all.len() > 40, "{all:?}");
    let missing: Vec<_> = all.difference(&walk.met).collect();
    assert!(missing.is_empty(), "in neither example: {missing:#?}");
}

#[test]
fn every_key_says_what_it_means() {
    let root = schema(KINDS);
    let mut all = BTreeSet::new();
    properties(&root, "", &mut all);
    let silent: Vec<_> = all
        .iter()
        .filter(|pointer| !pointer.ends_with("/kind") || pointer.contains("When"))
        .filter(|pointer| {
            root.pointer(pointer).is_none_or(|property| property["description"].as_str().is_none())
        })
        .collect();
    assert!(silent.is_empty(), "without a description: {silent:#?}");
}

/// Entries are optional to serde, so that a mistake in one doesn't hide the others', but not to
/// those who write the file.
#[test]
fn no_entry_can_be_null() {
    let root = schema(KINDS);
    for pointer in [
        "/properties/users/items",
        "/properties/databases/items",
        "/properties/tables/items",
        "/properties/routes/items",
        "/properties/cache/items",
        "/properties/stores/additionalProperties",
        "/$defs/Store/oneOf/0/properties/replicas/items",
        "/$defs/When/properties/tables/items",
        "/$defs/CacheWhen/properties/tables/items",
    ] {
        let entry = root.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert!(!entry.to_string().contains("null"), "{pointer}: {entry}");
    }
}
