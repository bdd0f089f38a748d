//! Keys of tables and indexes that a kind of store owns.

use flywheel_kind::{Keys, StoreKind};
use serde_json::{Map, Value};

use super::Resolver;

/// A kind of store and its own keys.
pub(super) struct OwnKeys {
    pub(super) kind: &'static dyn StoreKind,
    keys: Keys,
}

impl OwnKeys {
    pub(super) fn new(kind: &'static dyn StoreKind) -> Self {
        Self { kind, keys: kind.keys() }
    }

    /// Whether the key is its own in a table.
    pub(super) fn of_table(&self, key: &str) -> bool {
        self.keys.has_table_key(key)
    }

    /// Whether the key is its own in an index.
    pub(super) fn of_index(&self, key: &str) -> bool {
        self.keys.has_index_key(key)
    }
}

impl Resolver<'_> {
    /// Whether some kind owns the key of a table.
    pub(super) fn is_own_table_key(&self, key: &str) -> bool {
        self.kinds.iter().any(|kind| kind.of_table(key))
    }

    /// Whether some kind owns the key of an index.
    pub(super) fn is_own_index_key(&self, key: &str) -> bool {
        self.kinds.iter().any(|kind| kind.of_index(key))
    }

    /// Those of the keys that this kind owns; the others are reported. `at` is where the table
    /// or the index stands.
    pub(super) fn own_keys(
        &mut self,
        at: &[&str],
        keys: Map<String, Value>,
        kind: &'static dyn StoreKind,
        owns: impl Fn(&OwnKeys, &str) -> bool,
    ) -> Map<String, Value> {
        let mut own = Map::new();
        for (key, value) in keys {
            let owners: Vec<_> = self.kinds.iter().filter(|each| owns(each, &key)).collect();
            if owners.iter().any(|owner| owner.kind.name() == kind.name()) {
                own.insert(key, value);
                continue;
            }
            let mut titles: Vec<_> = owners.iter().map(|owner| owner.kind.title()).collect();
            titles.dedup();
            let help = format!("it is for {}: leave it out", titles.join(" and "));
            self.mistake(
                &[at, &[&key]].concat(),
                format!("`{key}` means nothing in a {} store", kind.name()),
                help,
            );
        }
        own
    }
}

/// The keys of an entry, and apart from them those of which this says that a kind owns them.
pub(super) fn split(
    keys: &Map<String, Value>,
    is_own: impl Fn(&str) -> bool,
) -> (Value, Map<String, Value>) {
    let (own, common): (Map<_, _>, Map<_, _>) =
        keys.clone().into_iter().partition(|(key, _)| is_own(key));
    (common.into(), own)
}
