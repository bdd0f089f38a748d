//! `indexes` of `[[tables]]`

use super::Resolver;
use crate::config::{Index, IndexKind};
use crate::file::{self, IndexKindName};

impl Resolver<'_> {
    pub(super) fn indexes(&mut self, at: &str, indexes: &[Option<file::Index>], is_dynamodb: bool, table_reads: bool) -> Vec<Index> {
        let mut resolved: Vec<Index> = Vec::new();
        for (position, index) in indexes.iter().enumerate() {
            let Some(index) = index else { continue };
            let place = position.to_string();
            let path = |key: &'static str| ["tables", at, "indexes", &place, key].map(str::to_owned);
            let mut mistake = |key: &'static str, message: String, help: &str| {
                let path = path(key);
                self.mistake(&path.each_ref().map(String::as_str), message, help);
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
            if is_dynamodb && columns.len() > 2 {
                let message = format!("index \"{}\" has {} columns", index.name, columns.len());
                mistake(
                    "columns",
                    message,
                    "an index in DynamoDB has a partition key and at most one sort key",
                );
            }
            if index.kind == Some(IndexKindName::Local) && is_dynamodb && columns.len() == 1 && index.columns.len() == 1 {
                let message = format!("index \"{}\" is local and has one column", index.name);
                mistake(
                    "columns",
                    message,
                    "a local index has the table's first key column and another that orders the rows",
                );
            }
            for (key, is_given) in [("kind", index.kind.is_some()), ("consistent_read", index.consistent_read.is_some())] {
                if is_given && !is_dynamodb {
                    mistake(
                        key,
                        format!("`{key}` means nothing for an index outside of DynamoDB"),
                        "it is DynamoDB's; leave it out",
                    );
                }
            }
            let kind = match index.kind {
                // What isn't DynamoDB keeps its indexes with the rows.
                Some(IndexKindName::Local) => Some(IndexKind::Local),
                None if !is_dynamodb => Some(IndexKind::Local),
                Some(IndexKindName::Global) => Some(IndexKind::Global),
                None => None,
            };
            resolved.push(Index {
                name: index.name.clone(),
                columns,
                kind,
                consistent_read: index.consistent_read.unwrap_or(table_reads),
            });
        }
        resolved
    }
}
