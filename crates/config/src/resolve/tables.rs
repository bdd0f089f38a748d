//! `[[tables]]`

use std::collections::BTreeMap;

use flywheel_kind::CommonTable;
use flywheel_types::TableName;
use serde_json::{Map, Value};

use super::Resolver;
use super::own::{OwnKeys, split};
use crate::config::{HomeStore, Store, Table};
use crate::file;
use crate::near::nearest;

impl Resolver<'_> {
    pub(super) fn tables(
        &mut self,
        tables: &[Option<Map<String, Value>>],
        stores: &BTreeMap<String, Store>,
    ) -> Vec<Table> {
        let mut resolved: Vec<Table> = Vec::new();
        let mut names: Vec<TableName> = Vec::new();
        for (position, table) in tables.iter().enumerate() {
            let Some(keys) = table else { continue };
            let at = position.to_string();
            let (common, own) = split(keys, |key| self.is_own_table_key(key));
            let table: file::Table = match serde_json::from_value(common) {
                Ok(table) => table,
                Err(error) => {
                    self.unreadable(&["tables", &at], &error);
                    continue;
                }
            };
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
            let Some(table) = self.table(&at, table, own, name, store) else {
                continue;
            };
            if let Some(other) = resolved.iter().find(|other| {
                other.store == table.store
                    && other.physical_name == table.physical_name
                    && other.name != table.name
            }) {
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
    fn home<'s>(
        &mut self,
        at: &str,
        name: &str,
        stores: &'s BTreeMap<String, Store>,
    ) -> Option<&'s HomeStore> {
        match stores.get(name) {
            Some(Store::Home(home)) => Some(home),
            Some(_) => {
                self.mistake(
                    &["tables", at, "store"],
                    format!("store \"{name}\" is PostgreSQL"),
                    "tables that aren't listed live in PostgreSQL by themselves: leave this entry out",
                );
                None
            }
            // A store that has mistakes of its own was reported there.
            None if self.is_there(&["stores", name]) => None,
            None => {
                let homes: Vec<_> = stores
                    .iter()
                    .filter(|(_, store)| !store.is_postgres())
                    .map(|(name, _)| name.as_str())
                    .collect();
                let help = match nearest(name, homes.iter().copied()) {
                    _ if homes.is_empty() => format!(
                        "add [stores.{name}] with its kind: only PostgreSQL's own tables need none"
                    ),
                    Some(near) => format!(
                        "did you mean \"{near}\"? Stores that can be home to a table: {}",
                        homes.join(", ")
                    ),
                    None => format!("stores that can be home to a table: {}", homes.join(", ")),
                };
                self.mistake(
                    &["tables", at, "store"],
                    format!("there is no store \"{name}\""),
                    help,
                );
                None
            }
        }
    }

    /// A table; `None` when its name or its keys have a mistake.
    fn table(
        &mut self,
        at: &str,
        table: file::Table,
        own: Map<String, Value>,
        name: Option<TableName>,
        store: &HomeStore,
    ) -> Option<Table> {
        let own = self.own_keys(&["tables", at], own, store.kind, OwnKeys::of_table);
        let indexes = table.indexes.as_deref().map(|all| self.indexes(at, all, store.kind));
        let physical_name = table.physical_name.or_else(|| Some(name.as_ref()?.to_string()));
        let common = CommonTable { physical_name, expires_at: table.expires_at, indexes };
        let mut section = self.section(&["tables", at]);
        let choices = match store.configured.table(&common, own.into(), &mut section) {
            Ok(choices) => choices,
            Err(error) => {
                self.unreadable(&["tables", at], &error);
                return None;
            }
        };
        Some(Table {
            name: name?,
            store: table.store,
            expires_at: common.expires_at,
            physical_name: common.physical_name?,
            allow_scan: table.allow_scan.unwrap_or(choices.allow_scan),
            allow_drop: table.allow_drop.unwrap_or(false),
            drop_constraints: table.drop_constraints.unwrap_or(false),
            consistent_read: choices.consistent_read,
            indexes: choices.indexes,
            options: choices.options,
        })
    }
}
