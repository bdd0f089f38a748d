//! The kinds of stores fit together: no kind's keys are in another's way.

use std::collections::BTreeMap;

use flywheel_cli::KINDS;
use flywheel_config::schema;
use serde_json::Value;

fn properties(schema: &Value) -> BTreeMap<String, Value> {
    let properties = schema["properties"].as_object();
    let owned = |(key, value): (&String, &Value)| (key.clone(), value.clone());
    properties.map(|all| all.iter().map(owned).collect()).unwrap_or_default()
}

/// Adds what one kind says; it must be what others say, if they speak of it.
fn agree(known: &mut BTreeMap<String, Value>, said: BTreeMap<String, Value>, by: &str) {
    for (name, value) in said {
        let other = known.entry(name.clone()).or_insert_with(|| value.clone());
        assert_eq!(*other, value, "{by} says otherwise of {name}");
    }
}

#[test]
fn names_are_of_one_kind() {
    let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
    names.extend(["postgres", "embedded-postgres"]);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

/// The file's schema has one meaning for each name: kinds that share a key or a definition mean the
/// same by it.
#[test]
fn a_key_has_one_meaning() {
    let (mut tables, mut indexes, mut definitions) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for kind in KINDS {
        let keys = kind.keys();
        agree(&mut tables, properties(&keys.table), kind.name());
        agree(&mut indexes, properties(&keys.index), kind.name());
        for schema in [&keys.store, &keys.table, &keys.index] {
            let of_schema = schema.get("$defs").and_then(Value::as_object).cloned();
            agree(
                &mut definitions,
                of_schema.unwrap_or_default().into_iter().collect(),
                kind.name(),
            );
        }
    }
    assert!(tables.len() > 3 && definitions.len() > 3, "{tables:?} {definitions:?}");
    // What the file says by itself, without any kind.
    let common = schema(&[]);
    for (name, own) in [("Table", &tables), ("Index", &indexes)] {
        let common = properties(&common["$defs"][name]);
        assert!(common.len() > 1, "{common:?}");
        let both: Vec<_> = own.keys().filter(|key| common.contains_key(*key)).collect();
        assert!(both.is_empty(), "{name} has {both:?} without any kind");
    }
    let mut known: BTreeMap<_, _> = definitions;
    let of_file = common["$defs"].as_object().cloned().unwrap_or_default();
    agree(&mut known, of_file.into_iter().collect(), "the file");
}

/// The section of each kind is in the schema, with the kind's word and all of its keys.
#[test]
fn each_kind_is_in_the_schema() {
    let all = schema(KINDS);
    let stores = all.pointer("/$defs/Store/oneOf").and_then(Value::as_array).expect("stores");
    assert_eq!(stores.len(), KINDS.len() + 2);
    for kind in KINDS {
        let is_kind =
            |store: &&Value| store.pointer("/properties/kind/const") == Some(&kind.name().into());
        let store = stores.iter().find(is_kind).unwrap_or_else(|| panic!("{}", kind.name()));
        assert!(store["description"].is_string(), "{store}");
        for key in properties(&kind.keys().store).keys() {
            assert!(store["properties"].get(key).is_some(), "{key} in {store}");
        }
        for key in properties(&kind.keys().table).keys() {
            assert!(all["$defs"]["Table"]["properties"].get(key).is_some(), "{key}");
        }
    }
}
