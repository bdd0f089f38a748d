//! What a statement writes.

use flywheel_cache::{Part, TableId, Touch};
use flywheel_plan::Parameters;
use flywheel_sql::{
    ConflictAction, Parsed, Pin, Role, SessionEffect, Shape, Statement, Verb, copy_from, parse,
    truncated,
};
use flywheel_statement::Analysis;

use super::graph::{Graph, Reached};
use super::row_key::RowKey;
use super::words::has_any;

/// Statements of other first words may do anything.
const HARMLESS: [&str; 17] = [
    "set",
    "show",
    "reset",
    "listen",
    "unlisten",
    "notify",
    "fetch",
    "move",
    "close",
    "discard",
    "deallocate",
    "checkpoint",
    "load",
    "vacuum",
    "analyze",
    "comment",
    "flush",
];

/// What one statement writes.
#[derive(Debug, Clone)]
pub(super) enum Writing {
    Nothing,
    /// It can't be told. `defines`: a definition, so that nothing that is known holds any more.
    Anything {
        defines: bool,
    },
    Tables {
        tables: Vec<TableId>,
        /// Single rows of one table.
        rows: Option<(TableId, Vec<RowKey>)>,
        /// It names what isn't known: a temporary table, or one that is new.
        unknown: bool,
    },
}

impl Writing {
    pub(super) fn touch(
        &self,
        parameters: &Parameters<'_>,
        may_be_temporary: bool,
    ) -> (Touch, bool) {
        match self {
            Self::Nothing => (Touch::Tables(Vec::new()), false),
            Self::Anything { defines } => (Touch::All, *defines),
            Self::Tables { unknown: true, .. } if !may_be_temporary => (Touch::All, false),
            Self::Tables { tables, rows, .. } => {
                let mut touched: Vec<(TableId, Part)> =
                    tables.iter().map(|&table| (table, Part::Whole)).collect();
                if let Some((table, keys)) = rows {
                    let resolved: Option<Vec<_>> =
                        keys.iter().map(|key| key.resolve(parameters)).collect();
                    match resolved {
                        Some(rows) => {
                            touched.extend(rows.into_iter().map(|row| (*table, Part::Row(row))))
                        }
                        None => touched.push((*table, Part::Whole)),
                    }
                }
                (Touch::Tables(touched), false)
            }
        }
    }

    fn reached(reached: Reached, rows: Option<(TableId, Vec<RowKey>)>, unknown: bool) -> Self {
        if reached.anything {
            return Self::Anything { defines: false };
        }
        let rows = rows.filter(|(table, _)| !reached.tables.contains(table));
        if reached.tables.is_empty() && rows.is_none() && !unknown {
            return Self::Nothing;
        }
        Self::Tables { tables: reached.tables.into_iter().collect(), rows, unknown }
    }
}

/// What each statement of a text writes.
pub(super) fn all_of(analysis: &Analysis, graph: Option<&Graph>) -> Vec<Writing> {
    (0..analysis.statements.len()).map(|position| of(analysis, position, graph)).collect()
}

/// What a statement writes. Without the graph: whether it may write at all.
pub(super) fn of(analysis: &Analysis, position: usize, graph: Option<&Graph>) -> Writing {
    let text = &analysis.text;
    let statement = &analysis.statements[position];
    let has = |words: &[&str]| has_any(text, &statement.tokens, words);
    match statement.verb {
        Verb::Empty
        | Verb::Begin
        | Verb::Rollback
        | Verb::RollbackTo
        | Verb::Savepoint
        | Verb::Release
        | Verb::PrepareTransaction => Writing::Nothing,
        Verb::Prepare | Verb::Lock | Verb::CreateIndex => Writing::Nothing,
        // What another session has written.
        Verb::Commit if has(&["prepared"]) => Writing::Anything { defines: true },
        Verb::Commit => Writing::Nothing,
        verb if verb.is_definition() => match statement.session {
            SessionEffect::Pins(Pin::TemporaryObject) => Writing::Nothing,
            _ => Writing::Anything { defines: true },
        },
        Verb::Administration if has(&["grant", "revoke"]) => Writing::Anything { defines: true },
        Verb::Administration => Writing::Nothing,
        Verb::Explain if !has(&["analyze", "analyse"]) => Writing::Nothing,
        // What was prepared isn't looked for.
        Verb::Explain if has(&["execute"]) => Writing::Anything { defines: false },
        Verb::Explain if has(&["create"]) => Writing::Anything { defines: true },
        Verb::Other
            if statement
                .tokens
                .first()
                .is_some_and(|first| HARMLESS.contains(&first.identifier(text).as_ref())) =>
        {
            Writing::Nothing
        }
        Verb::Other if !has(&["refresh"]) => Writing::Anything { defines: false },
        Verb::Execute => Writing::Anything { defines: false },
        Verb::Select | Verb::With | Verb::Explain
            if has(&["into"]) && !has(&["insert", "merge"]) =>
        {
            Writing::Anything { defines: true }
        }
        _ => graph.map_or(Writing::Anything { defines: false }, |graph| {
            follow(analysis, statement, position, graph)
        }),
    }
}

fn follow(analysis: &Analysis, statement: &Statement, position: usize, graph: &Graph) -> Writing {
    let text = &analysis.text;
    let has = |words: &[&str]| has_any(text, &statement.tokens, words);
    let mut reached = Reached::default();
    graph.write_calls(text, &statement.tokens, &mut reached);
    let changes = has(&["insert", "update", "delete", "merge"]);
    match statement.verb {
        Verb::Insert | Verb::Update | Verb::Delete | Verb::Merge | Verb::With | Verb::Select
            if changes =>
        {
            match parse(analysis.statement_text(position)) {
                Ok(parsed)
                    if parsed.relations.iter().any(|relation| relation.role != Role::Read) =>
                {
                    changed(&parsed, analysis, statement, graph, reached)
                }
                _ => {
                    graph.write_words(text, &statement.tokens, &mut reached);
                    Writing::reached(reached, None, true)
                }
            }
        }
        Verb::Truncate => {
            let names = truncated(text, &statement.tokens).unwrap_or_default();
            let mut unknown = names.is_empty();
            for name in &names {
                let found = graph.find(name);
                unknown |= found.is_empty();
                for oid in found {
                    graph.write(oid, false, &mut reached);
                    if has(&["cascade"]) {
                        graph.cascade(oid, &mut reached, true);
                    }
                }
            }
            Writing::reached(reached, None, unknown)
        }
        Verb::Copy => match copy_from(text, &statement.tokens) {
            Some((name, _)) => {
                let found = graph.find(&name);
                let unknown = found.is_empty();
                found.into_iter().for_each(|oid| graph.write(oid, true, &mut reached));
                Writing::reached(reached, None, unknown)
            }
            None if changes => {
                graph.write_words(text, &statement.tokens, &mut reached);
                Writing::reached(reached, None, false)
            }
            None => Writing::reached(reached, None, false),
        },
        Verb::Select | Verb::With | Verb::Declare => Writing::reached(reached, None, false),
        // EXPLAIN ANALYZE, REFRESH MATERIALIZED VIEW, and whatever else names what it changes.
        _ => {
            graph.write_words(text, &statement.tokens, &mut reached);
            Writing::reached(reached, None, false)
        }
    }
}

/// INSERT, UPDATE, DELETE and MERGE that can be read.
fn changed(
    parsed: &Parsed,
    analysis: &Analysis,
    statement: &Statement,
    graph: &Graph,
    mut reached: Reached,
) -> Writing {
    let inserts = statement.verb == Verb::Insert && !parsed.on_conflict;
    let mut unknown = false;
    let mut rows = None;
    for relation in parsed.relations.iter().filter(|relation| relation.role != Role::Read) {
        let found = graph.find(&relation.name);
        unknown |= found.is_empty();
        if let ([only], 1) = (&found[..], parsed.relations.len())
            && let Some(keys) = row_keys(parsed, analysis, statement, graph, *only)
        {
            if statement.verb != Verb::Insert {
                graph.cascade(*only, &mut reached, false);
            }
            graph.write_defaults(*only, &mut reached);
            rows = Some((*only, keys));
            continue;
        }
        found.into_iter().for_each(|oid| graph.write(oid, inserts, &mut reached));
    }
    Writing::reached(reached, rows, unknown)
}

/// The rows that a write to one table is about, when it names them by their keys.
fn row_keys(
    parsed: &Parsed,
    analysis: &Analysis,
    statement: &Statement,
    graph: &Graph,
    table: TableId,
) -> Option<Vec<RowKey>> {
    let (text, key) = (&analysis.text, graph.key(table)?);
    let relation = parsed.relations.first()?;
    match statement.verb {
        Verb::Insert => match &parsed.shape {
            Some(Shape::Insert(insert))
                if matches!(
                    insert.on_conflict,
                    ConflictAction::Error | ConflictAction::Nothing(_)
                ) =>
            {
                RowKey::inserted(parsed.shape.as_ref(), key, statement, text)
            }
            _ => None,
        },
        Verb::Delete => Some(vec![RowKey::compared(relation, key, statement, text)?]),
        Verb::Update => {
            // A key that changes is another row's.
            let is = |word: &'static str| {
                move |token: &flywheel_sql::lex::Token| token.is_keyword(text, word)
            };
            let set = statement.tokens.iter().position(is("set"))?;
            let end = statement.tokens.iter().rposition(is("where"))?;
            let assigned = statement.tokens.get(set..end)?;
            let changes_key = assigned
                .iter()
                .any(|token| key.iter().any(|column| column.name == token.identifier(text)));
            (!changes_key).then_some(())?;
            Some(vec![RowKey::compared(relation, key, statement, text)?])
        }
        _ => None,
    }
}
