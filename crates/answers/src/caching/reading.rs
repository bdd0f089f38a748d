//! What a query reads.

use std::collections::HashSet;

use flywheel_cache::{Part, TableId};
use flywheel_plan::Parameters;
use flywheel_sql::parse;
use flywheel_statement::Analysis;

use super::graph::{Graph, ReadFrom};
use super::row_key::RowKey;
use crate::options::CacheRule;

/// What a query reads, and whether its answers can be kept.
#[derive(Debug)]
pub struct Reading {
    tables: Vec<(TableId, Option<RowKey>)>,
    refused: Option<String>,
    lost: Option<String>,
    system: Option<String>,
    /// Something whose changes replication doesn't tell.
    unfollowed: Option<String>,
}

impl Reading {
    pub(super) fn of(analysis: &Analysis, graph: &Graph) -> Self {
        let mut from = ReadFrom::default();
        let mut rows = Vec::new();
        let mut named = HashSet::new();
        let statement = &analysis.statements[0];
        graph.read_calls(&analysis.text, &statement.tokens, &mut from);
        match parse(analysis.statement_text(0)) {
            Ok(parsed) => {
                for relation in &parsed.relations {
                    let found = graph.find(&relation.name);
                    named.insert(relation.name.name.clone());
                    if found.is_empty() {
                        from.refused = Some(format!("relation \"{}\" isn't known", relation.name));
                    }
                    let is_once = parsed
                        .relations
                        .iter()
                        .filter(|each| each.name.name == relation.name.name)
                        .count()
                        == 1;
                    if let ([only], true) = (&found[..], is_once)
                        && let Some(key) = graph.key(*only)
                        && let Some(key) =
                            RowKey::compared(relation, key, statement, &analysis.text)
                    {
                        rows.push((*only, key));
                        graph.read_policies(*only, &mut from);
                    } else {
                        found.into_iter().for_each(|oid| graph.read(oid, &mut from));
                    }
                }
            }
            Err(error) => from.refused = Some(format!("it can't be read: {error}")),
        }
        // A table that is named in a place of which nothing is known.
        graph.read_words(&analysis.text, &statement.tokens, &named, &mut from);
        // What is read otherwise too, by a view for instance, is read whole.
        rows.retain(|(oid, _)| !from.tables.contains(oid));
        let mut tables: Vec<(TableId, Option<RowKey>)> =
            rows.into_iter().map(|(oid, key)| (oid, Some(key))).collect();
        tables.extend(from.tables.iter().map(|&oid| (oid, None)));
        let unfollowed = tables.iter().find_map(|(oid, _)| graph.unfollowed(*oid));
        Self { tables, unfollowed, refused: from.refused, lost: from.lost, system: from.system }
    }

    /// Why a rule's answers can't be kept.
    pub fn refused_for(&self, rule: &CacheRule) -> Option<String> {
        let system = self.system.as_ref().filter(|_| rule.tables.is_empty());
        let lost = self.lost.as_ref().filter(|_| rule.by_writes);
        let unfollowed = self.unfollowed.as_ref().filter(|_| rule.max_lag.is_some());
        self.refused
            .clone()
            .or_else(|| system.map(|name| format!("{name} is of the system catalogue, which the rule doesn't name")))
            .or_else(|| lost.map(|what| format!("writes to it can't be followed: {what}")))
            .or_else(|| unfollowed.map(|name| format!("it reads {name} too, which the rule doesn't name or replication doesn't tell of")))
    }

    /// The parts of tables that are read with these parameters.
    pub fn parts<'r>(
        &'r self,
        parameters: &'r Parameters<'_>,
    ) -> impl Iterator<Item = (TableId, Part)> {
        self.tables.iter().map(|(table, key)| {
            let row = key.as_ref().and_then(|key| key.resolve(parameters));
            (*table, row.map_or(Part::Whole, Part::Row))
        })
    }
}
