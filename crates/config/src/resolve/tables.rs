//! `[[tables]]`

use std::collections::BTreeMap;

use flywheel_types::TableName;

use super::Resolver;
use super::stores::is_dynamodb_name;
use crate::config::{Layout, OnTypeMismatch, Store, Table};
use crate::file::{self, LayoutName, OnTypeMismatchName};
use crate::near::nearest;

impl Resolver<'_> {
    pub(super) fn tables(&mut self, tables: &[Option<file::Table>], stores: &BTreeMap<String, Store>) -> Vec<Table> {
        let mut resolved: Vec<Table> = Vec::new();
        let mut names: Vec<TableName> = Vec::new();
        for (position, table) in tables.iter().enumerate() {
            let Some(table) = table else { continue };
            let at = position.to_string();
            let name = self.table_name(&["tables", &at, "name"], &table.name);
            if let Some(name) = &name {
                if names.contains(name) {
                    self.mistake(
                        &["tables", &at, "name"],
                        format!("table \"{name}\" is listed twice"),
                        "a table has one home",
                    );
                }
                names.push(name.clone());
            }
            let Some(store) = self.home(&at, &table.store, stores) else {
                continue;
            };
            // Its other keys are checked whatever its name is.
            let is_named = name.is_some();
            let table = self.table(&at, table, name.unwrap_or_else(|| TableName::new("", "")), store);
            if !is_named {
                continue;
            }
            if let Some(other) = resolved
                .iter()
                .find(|other| other.store == table.store && other.physical_name == table.physical_name && other.name != table.name)
            {
                let message = format!(
                    "tables \"{}\" and \"{}\" have the same name in store \"{}\"",
                    other.name, table.name, table.store
                );
                self.mistake(&["tables", &at], message, "give each a physical_name of its own");
            }
            resolved.push(table);
        }
        resolved
    }

    /// The store of this name, if a table can live there.
    fn home<'s>(&mut self, at: &str, name: &str, stores: &'s BTreeMap<String, Store>) -> Option<&'s Store> {
        match stores.get(name) {
            Some(store) if store.is_postgres() => {
                self.mistake(
                    &["tables", at, "store"],
                    format!("store \"{name}\" is PostgreSQL"),
                    "tables that aren't listed live in PostgreSQL by themselves: leave this entry out",
                );
                None
            }
            Some(store) => Some(store),
            // A store that has mistakes of its own was reported there.
            None if self.is_there(&["stores", name]) => None,
            None => {
                let homes: Vec<_> = stores
                    .iter()
                    .filter(|(_, store)| !store.is_postgres())
                    .map(|(name, _)| name.as_str())
                    .collect();
                let help = match nearest(name, homes.iter().copied()) {
                    _ if homes.is_empty() => format!("add [stores.{name}] with its kind: only PostgreSQL's own tables need none"),
                    Some(near) => format!("did you mean \"{near}\"? Stores that can be home to a table: {}", homes.join(", ")),
                    None => format!("stores that can be home to a table: {}", homes.join(", ")),
                };
                self.mistake(&["tables", at, "store"], format!("there is no store \"{name}\""), help);
                None
            }
        }
    }

    fn table(&mut self, at: &str, table: &file::Table, name: TableName, store: &Store) -> Table {
        let layout = self.layout(at, table, store);
        let (store_reads, is_dynamodb) = match store {
            Store::DynamoDb(dynamodb) => (dynamodb.consistent_read, true),
            Store::EmbeddedDynamoDb(_) => (true, true),
            _ => (true, false),
        };
        for (key, is_given) in [
            ("consistent_read", table.consistent_read.is_some()),
            ("on_type_mismatch", table.on_type_mismatch.is_some()),
            ("scan_segments", table.scan_segments.is_some()),
        ] {
            if is_given && !is_dynamodb {
                let message = format!("`{key}` means nothing in a {} store", store.kind());
                self.mistake(&["tables", at, key], message, "it is DynamoDB's; leave it out");
            }
        }
        let consistent_read = table.consistent_read.unwrap_or(store_reads);
        let indexes = match &table.indexes {
            Some(indexes) => Some(self.indexes(at, indexes, is_dynamodb, consistent_read)),
            None if is_dynamodb => None,
            None => Some(Vec::new()),
        };
        let physical_name = table.physical_name.clone().unwrap_or_else(|| name.to_string());
        if is_dynamodb && !name.name.is_empty() {
            self.dynamodb_name(at, &physical_name, store);
        }
        Table {
            physical_name,
            name,
            store: table.store.clone(),
            layout,
            expires_at: table.expires_at.clone(),
            // SCAN in Redis walks through the keys of everybody.
            allow_scan: table.allow_scan.unwrap_or(!matches!(store, Store::Redis(_) | Store::DynamoDb(_))),
            allow_drop: table.allow_drop.unwrap_or(false),
            drop_constraints: table.drop_constraints.unwrap_or(false),
            consistent_read,
            on_type_mismatch: match table.on_type_mismatch {
                Some(OnTypeMismatchName::Null) => OnTypeMismatch::Null,
                Some(OnTypeMismatchName::Error) | None => OnTypeMismatch::Error,
            },
            scan_segments: table.scan_segments,
            indexes,
        }
    }

    /// How the rows lie. Only Redis and what stands in for it have a choice.
    fn layout(&mut self, at: &str, table: &file::Table, store: &Store) -> Layout {
        let path = |key: &'static str| ["tables", at, key];
        let sorted_set = "layouts are Redis': leave `layout` and `score` out";
        if !matches!(store, Store::Redis(_) | Store::Memory(_)) {
            if self.is_there(&path("layout")) {
                let message = format!("`layout` means nothing in a {} store", store.kind());
                self.mistake(&path("layout"), message, sorted_set);
            } else if table.score.is_some() {
                let message = format!("`score` means nothing in a {} store", store.kind());
                self.mistake(&path("score"), message, sorted_set);
            }
            return Layout::Hash;
        }
        match (table.layout, &table.score) {
            (Some(LayoutName::SortedSet), score) => {
                if score.is_none() && !self.is_there(&path("score")) {
                    self.mistake(
                        &["tables", at],
                        "layout sorted_set without `score`",
                        "add score = \"column\": the column that orders the set",
                    );
                }
                if table.expires_at.is_some() {
                    self.mistake(
                        &path("expires_at"),
                        "`expires_at` means nothing with layout = \"sorted_set\"",
                        "the members of a sorted set don't expire one by one: leave it out, or use another layout",
                    );
                }
                score.clone().map_or(Layout::Hash, |score| Layout::SortedSet { score })
            }
            (Some(name @ (LayoutName::Hash | LayoutName::Json)), Some(_)) => {
                let name = if name == LayoutName::Json { "json" } else { "hash" };
                self.mistake(
                    &path("score"),
                    format!("`score` means nothing with layout = \"{name}\""),
                    "use layout = \"sorted_set\", or leave the score out",
                );
                Layout::Hash
            }
            (Some(LayoutName::Json), None) => Layout::Json,
            (None, Some(_)) if !self.is_there(&path("layout")) => {
                self.mistake(
                    &path("score"),
                    "`score` without layout = \"sorted_set\"",
                    "add the layout, or leave the score out",
                );
                Layout::Hash
            }
            (Some(LayoutName::Hash) | None, _) => Layout::Hash,
        }
    }

    fn dynamodb_name(&mut self, at: &str, name: &str, store: &Store) {
        let prefix = match store {
            Store::DynamoDb(dynamodb) => dynamodb.table_prefix.as_str(),
            _ => "",
        };
        // DynamoDB developer guide, "Naming rules".
        if !is_dynamodb_name(name) || !(3..=255).contains(&(prefix.len() + name.len())) {
            let key = match self.is_there(&["tables", at, "physical_name"]) {
                true => "physical_name",
                false => "name",
            };
            self.mistake(
                &["tables", at, key],
                format!("\"{prefix}{name}\" can't be the name of a table in DynamoDB"),
                "these names have 3 to 255 letters, digits, _, - and .: give another physical_name",
            );
        }
    }
}
