//! `indexes` of `[[tables]]`

use flywheel_kind::{CommonIndex, StoreKind};
use serde_json::{Map, Value};

use super::Resolver;
use super::own::{OwnKeys, split};
use crate::file;

impl Resolver<'_> {
    /// The indexes of the table at this position.
    pub(super) fn indexes(
        &mut self,
        at: &str,
        indexes: &[Option<Map<String, Value>>],
        kind: &'static dyn StoreKind,
    ) -> Vec<CommonIndex> {
        let mut resolved: Vec<CommonIndex> = Vec::new();
        for (position, keys) in indexes.iter().enumerate() {
            let Some(keys) = keys else { continue };
            let place = position.to_string();
            let path = ["tables", at, "indexes", &place];
            let (common, own) = split(keys, |key| self.is_own_index_key(key));
            let index: file::Index = match serde_json::from_value(common) {
                Ok(index) => index,
                Err(error) => {
                    self.unreadable(&path, &error);
                    continue;
                }
            };
            let own = self.own_keys(&path, own, kind, OwnKeys::of_index);
            let mut mistake = |key: &str, message: String, help: &str| {
                self.mistake(&[&path[..], &[key]].concat(), message, help);
            };
            if resolved.iter().any(|other| other.name == index.name) {
                mistake(
                    "name",
                    format!("index \"{}\" is listed twice", index.name),
                    "give each a name of its own",
                );
            }
            let columns: Vec<String> = index.columns.iter().flatten().cloned().collect();
            if index.columns.is_empty() {
                mistake(
                    "columns",
                    format!("index \"{}\" has no columns", index.name),
                    "name the column to find rows by, and perhaps one that orders them",
                );
            }
            if let Some(twice) = columns
                .iter()
                .enumerate()
                .find(|(position, column)| columns[..*position].contains(column))
            {
                mistake(
                    "columns",
                    format!("column \"{}\" is twice in index \"{}\"", twice.1, index.name),
                    "name each column once",
                );
            }
            resolved.push(CommonIndex {
                position,
                name: index.name,
                is_whole: columns.len() == index.columns.len(),
                columns,
                keys: own.into(),
            });
        }
        resolved
    }
}
