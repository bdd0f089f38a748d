//! `[[tables]]`

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{Layout, Store, Table};
use crate::file::{self, LayoutName};

impl Resolver<'_> {
    pub(super) fn tables(&mut self, tables: &[file::Table], stores: &BTreeMap<String, Store>) -> Vec<Table> {
        let mut resolved: Vec<Table> = Vec::new();
        for (position, table) in tables.iter().enumerate() {
            let at = position.to_string();
            if let Some(table) = self.table(&at, table, stores) {
                if resolved.iter().any(|other| other.name == table.name) {
                    self.mistake(
                        &["tables", &at, "name"],
                        format!("table \"{}\" is listed twice", table.name),
                        "a table has one home",
                    );
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
        }
        resolved
    }

    fn table(&mut self, at: &str, table: &file::Table, stores: &BTreeMap<String, Store>) -> Option<Table> {
        let name = self.table_name(&["tables", at, "name"], &table.name);
        let Some(store) = stores.get(&table.store) else {
            // A store that has mistakes of its own was reported there.
            if self.tree.at(&["stores", &table.store]).is_none() {
                let names: Vec<_> = stores
                    .iter()
                    .filter(|(_, store)| !store.is_postgres())
                    .map(|(name, _)| name.as_str())
                    .collect();
                self.mistake(
                    &["tables", at, "store"],
                    format!("there is no store \"{}\"", table.store),
                    format!("stores that can be home to a table: {}", names.join(", ")),
                );
            }
            return None;
        };
        if store.is_postgres() {
            let help = "tables that aren't listed live in PostgreSQL by themselves: leave this entry out";
            self.mistake(&["tables", at, "store"], format!("store \"{}\" is PostgreSQL", table.store), help);
        }
        let has_layouts = matches!(store, Store::Redis(_) | Store::Memory(_));
        let layout = match (table.layout, &table.score) {
            (Some(LayoutName::SortedSet), _) if !has_layouts => {
                self.mistake(
                    &["tables", at, "layout"],
                    format!("a table in a {} store has no layout sorted_set", store.kind()),
                    "sorted sets are Redis'; leave the key out",
                );
                Layout::Hash
            }
            (Some(LayoutName::SortedSet), Some(score)) => Layout::SortedSet { score: score.clone() },
            (Some(LayoutName::SortedSet), None) => {
                self.mistake(
                    &["tables", at],
                    "layout sorted_set without `score`",
                    "add score = \"column\": the column that orders the set",
                );
                Layout::Hash
            }
            (_, Some(_)) => {
                self.mistake(
                    &["tables", at, "score"],
                    "`score` without layout = \"sorted_set\"",
                    "add the layout, or leave the score out",
                );
                Layout::Hash
            }
            (_, None) => Layout::Hash,
        };
        let (store_reads, is_dynamodb) = match store {
            Store::DynamoDb(dynamodb) => (dynamodb.consistent_read, true),
            Store::EmbeddedDynamoDb(_) => (true, true),
            _ => (true, false),
        };
        if table.consistent_read.is_some() && !is_dynamodb {
            self.mistake(
                &["tables", at, "consistent_read"],
                format!("`consistent_read` means nothing in a {} store", store.kind()),
                "it is DynamoDB's; leave it out",
            );
        }
        let name = name?;
        Some(Table {
            physical_name: table.physical_name.clone().unwrap_or_else(|| name.to_string()),
            name,
            store: table.store.clone(),
            layout,
            expires_at: table.expires_at.clone(),
            // SCAN in Redis walks through the keys of everybody.
            allow_scan: table.allow_scan.unwrap_or(!matches!(store, Store::Redis(_) | Store::DynamoDb(_))),
            allow_drop: table.allow_drop.unwrap_or(false),
            consistent_read: table.consistent_read.unwrap_or(store_reads),
        })
    }
}
