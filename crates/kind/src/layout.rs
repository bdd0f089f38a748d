//! `layout` and `score`: how rows lie in Redis, and in what stands in for it.

use std::sync::Arc;

use flywheel_store::{Layout, StoreTable, TableOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{CommonTable, Section};

/// A table's keys in a store with layouts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutKeys {
    /// For Redis and memory: how its rows lie. Default: hash.
    layout: Option<LayoutName>,
    /// For layout sorted_set: the column that is the score.
    #[schemars(length(min = 1))]
    score: Option<String>,
}

/// How rows lie in Redis and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LayoutName {
    /// A hash for each row.
    Hash,
    /// A string for each row, one JSON object.
    Json,
    /// A sorted set for each value of the first key column, with the second as member.
    SortedSet,
}

/// How a table's rows lie, with the score column by name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    Hash,
    Json,
    SortedSet { score: String },
}

impl TableOptions for Choice {
    fn bind(&self, table: &mut StoreTable) -> Result<(), String> {
        table.layout = match self {
            Self::Hash => Layout::Hash,
            Self::Json => Layout::Json,
            Self::SortedSet { score } => {
                let score = table.table.column(score).ok_or_else(|| score.clone())?;
                Layout::SortedSet { score }
            }
        };
        Ok(())
    }
}

/// What a table's keys choose.
///
/// # Errors
/// The keys aren't [`LayoutKeys`].
pub fn choose(
    common: &CommonTable,
    keys: Value,
    section: &mut Section<'_>,
) -> Result<Arc<dyn TableOptions>, serde_json::Error> {
    let keys: LayoutKeys = serde_json::from_value(keys)?;
    Ok(Arc::new(choice(common, keys, section)))
}

fn choice(common: &CommonTable, keys: LayoutKeys, section: &mut Section<'_>) -> Choice {
    match (keys.layout, keys.score) {
        (Some(LayoutName::SortedSet), score) => {
            if score.is_none() && !section.is_there(&["score"]) {
                section.mistake(
                    &[],
                    "layout sorted_set without `score`",
                    "add score = \"column\": the column that orders the set",
                );
            }
            if common.expires_at.is_some() {
                section.mistake(
                    &["expires_at"],
                    "`expires_at` means nothing with layout = \"sorted_set\"",
                    "the members of a sorted set don't expire one by one: leave it out, or use another layout",
                );
            }
            score.map_or(Choice::Hash, |score| Choice::SortedSet { score })
        }
        (Some(name @ (LayoutName::Hash | LayoutName::Json)), Some(_)) => {
            let name = if name == LayoutName::Json { "json" } else { "hash" };
            section.mistake(
                &["score"],
                format!("`score` means nothing with layout = \"{name}\""),
                "use layout = \"sorted_set\", or leave the score out",
            );
            Choice::Hash
        }
        (Some(LayoutName::Json), None) => Choice::Json,
        (None, Some(_)) if !section.is_there(&["layout"]) => {
            section.mistake(
                &["score"],
                "`score` without layout = \"sorted_set\"",
                "add the layout, or leave the score out",
            );
            Choice::Hash
        }
        (Some(LayoutName::Hash) | None, _) => Choice::Hash,
    }
}
