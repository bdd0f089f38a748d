//! What a statement is to Flywheel, decided from its text, the tables' homes, and what PostgreSQL says of the names in it.

use std::sync::Arc;

use flywheel_plan::{ColumnTypes, Fetch, General, Home, Plan, Planner, Visible, unsupported};
use flywheel_postgres::{Connection, ServerError};
use flywheel_sql::lex::{Token, TokenKind};
use flywheel_sql::{
    CopySource, Explained, Fact, Materialized, ParseError, Parsed, Pin, RelationName, Role, SessionEffect, Through, Verb, altered,
    copy_from, created, drops_unnamed, parse_through, prepared, truncated,
};
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};

use super::StoreStatement;
use super::cache_command::CacheCommand;
use super::prepared::SqlArguments;
use crate::analysis::Analysis;
use crate::homes::Known;
use crate::options::TableHome;

/// What a statement is to Flywheel.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each text, behind an Arc")]
pub(crate) enum Kind {
    /// It reads or writes store tables.
    Planned { parsed: Parsed, plan: Plan },
    /// EXPLAIN of one that does; the lines of the answer.
    Explain { lines: Vec<String>, as_json: bool },
    /// EXPLAIN ANALYZE of one that does.
    Analyze { inner: Arc<StoreStatement>, options: Explained },
    /// CREATE TABLE of a table that the configuration homes in a store.
    CreateTable { table: Box<TableHome> },
    /// ALTER TABLE of this store table.
    AlterTable { home: Arc<Home> },
    /// DROP TABLE of these store tables.
    DropTable { homes: Vec<Arc<Home>> },
    /// A statement that may drop store tables along with what it names.
    DropUnnamed,
    /// COPY out of store tables, as COPY of a query: relayed with their rows put in.
    Copy { parsed: Parsed, fetches: Vec<Fetch> },
    /// COPY of the client's rows into a store table.
    CopyFrom { home: Arc<Home> },
    /// CREATE VIEW over store tables.
    CreateView,
    /// CREATE or REFRESH MATERIALIZED VIEW over these rows of store tables.
    Materialize { fetches: Vec<Fetch> },
    /// SQL's PREPARE of a statement on store tables.
    Prepare { name: String, inner: String },
    /// EXECUTE of one.
    Execute {
        statement: Arc<StoreStatement>,
        arguments: SqlArguments,
    },
    /// TRUNCATE of these store tables, all of one store.
    Truncate { homes: Vec<Arc<Home>> },
    /// SHOW CACHE and FLUSH CACHE.
    Cache(CacheCommand),
    /// It only looked like one, or does nothing that concerns the rows: relayed.
    Relayed,
}

/// The types of columns that a statement compares with others, for the relations that aren't store tables.
pub(crate) async fn column_types(
    connection: &mut Connection,
    known: &Known,
    (analysis, views): (&Analysis, &[Through]),
) -> Result<ColumnTypes, ServerError> {
    let compares = |relation: &flywheel_sql::Relation| {
        let mut facts = relation.conjuncts.iter().map(|conjunct| &conjunct.fact);
        facts.any(|fact| matches!(fact, Fact::Same(..) | Fact::Member { .. }))
    };
    let Some(statement) = analysis.statements.first() else {
        return Ok(ColumnTypes::new());
    };
    // EXPLAIN's own words aren't sqlparser's.
    let inner = statement.tokens.iter().find(|token| {
        ["select", "with", "insert", "update", "delete", "merge"]
            .iter()
            .any(|verb| token.is_keyword(&analysis.text, verb))
    });
    let Some(Ok(parsed)) = inner.map(|token| parse_from(&analysis.text, token.range.start, views)) else {
        return Ok(ColumnTypes::new());
    };
    // The other side of a comparison may be in another query.
    if !parsed.relations.iter().any(compares) {
        return Ok(ColumnTypes::new());
    }
    let is_home = |relation: &flywheel_sql::Relation| known.homes.iter().any(|home| home.name().name == relation.name.name);
    let names: Vec<(usize, String)> = parsed
        .relations
        .iter()
        .enumerate()
        .filter(|(_, relation)| !is_home(relation))
        .map(|(place, relation)| (place, relation.name.to_sql()))
        .collect();
    flywheel_postgres::catalogue::column_types(connection, &names).await
}

/// Reads the text from `start` on, to which ranges in the result relate.
pub(super) fn parse_from(text: &str, start: usize, views: &[Through]) -> Result<Parsed, ParseError> {
    let moved = |view: &Through| Through {
        range: view.range.start - start..view.range.end - start,
        with: view.with.clone(),
    };
    let views: Vec<_> = views.iter().filter(|view| view.range.start >= start).map(moved).collect();
    parse_through(&text[start..], &views)
}

/// `TABLE t`, also behind CREATE TABLE's AS, as `SELECT * FROM t`, and `COPY t (columns) TO …` as `COPY (SELECT columns FROM t) TO …`: the same, in a form in which rows can
/// stand in the table's place. `None` for all other statements.
pub(crate) fn as_query(analysis: &Analysis) -> Option<String> {
    let (text, tokens) = (&analysis.text, &analysis.statements.first()?.tokens);
    let piece = |from: usize, to: usize| text.get(tokens.get(from)?.range.start..tokens.get(to)?.range.end);
    if tokens.first()?.is_keyword(text, "table") {
        return Some(format!("SELECT * FROM {}", piece(1, tokens.len() - 1)?));
    }
    if analysis.statements[0].verb == Verb::CreateTable {
        let is_table = |pair: &[Token]| pair[0].is_keyword(text, "as") && pair[1].is_keyword(text, "table");
        let table = tokens.windows(2).position(is_table)? + 1;
        let rest = text.get(tokens[table].range.end..tokens.last()?.range.end)?;
        return Some(format!("{}SELECT * FROM{rest}", text.get(..tokens[table].range.start)?));
    }
    if !tokens.first()?.is_keyword(text, "copy") || tokens.get(1)?.kind == TokenKind::Open {
        return None;
    }
    let to = tokens.iter().position(|token| token.is_keyword(text, "to"))?;
    let columns = tokens[..to].iter().position(|token| token.kind == TokenKind::Open);
    let name = piece(1, columns.unwrap_or(to) - 1)?;
    let columns = match columns {
        Some(open) => text.get(tokens[open].range.end..tokens[to - 1].range.start)?,
        None => "*",
    };
    Some(format!("COPY (SELECT {columns} FROM {name}) {}", piece(to, tokens.len() - 1)?))
}

/// CREATE or ALTER of something that would act on a table's rows.
fn defines_over_tables(analysis: &Analysis) -> bool {
    let has = |word| analysis.statements[0].has_keyword(&analysis.text, word);
    !has("drop") && ["trigger", "rule", "policy", "view", "publication"].into_iter().any(has)
}

/// CREATE VIEW, but for a materialized one.
fn makes_view(analysis: &Analysis) -> bool {
    let (text, tokens) = (&analysis.text, &analysis.statements[0].tokens);
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    is(0, "create")
        && (1..6)
            .find(|&at| is(at, "view") || is(at, "materialized"))
            .is_some_and(|at| is(at, "view"))
}

/// CREATE TEMP TABLE and the like.
fn makes_temporary(analysis: &Analysis) -> bool {
    analysis.statements[0].session == SessionEffect::Pins(Pin::TemporaryObject)
}

fn is_copy_of_query(analysis: &Analysis) -> bool {
    analysis.statements[0]
        .tokens
        .get(1)
        .is_some_and(|token| token.kind == TokenKind::Open)
}

/// Flywheel's plan is given in two formats.
pub(super) fn check_format(options: &Explained) -> Result<(), PgError> {
    if matches!(options.format.as_str(), "text" | "json") {
        return Ok(());
    }
    let message = format!(
        "EXPLAIN (FORMAT {}) isn't supported for a statement on a store table",
        options.format.to_uppercase()
    );
    Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint("EXPLAIN gives Flywheel's plan as text or JSON."))
}

/// Decides what a statement is.
pub(crate) struct Maker<'a> {
    pub(crate) known: &'a Known,
    pub(crate) visible: &'a Visible,
    pub(crate) types: &'a ColumnTypes,
    /// The views that it writes to.
    pub(crate) views: &'a [Through],
    pub(crate) max_fetch_rows: usize,
    pub(crate) configured: &'a [TableHome],
}

impl Maker<'_> {
    pub(crate) fn kind(&self, verb: Verb, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        if let Some((name, source)) = copy_from(&analysis.text, &analysis.statements[0].tokens) {
            return self.copy_from(&name, source);
        }
        match verb {
            Verb::Administration => return Ok(Kind::Relayed),
            // sqlparser doesn't say which tables these name.
            Verb::DropTable => return Ok(self.drop_table(analysis)),
            Verb::Truncate => return self.truncate(analysis),
            Verb::AlterTable => return self.alter_table(analysis),
            Verb::Copy | Verb::Lock if as_query(analysis).is_none() && !is_copy_of_query(analysis) => {
                return match self.named(analysis).next() {
                    Some(home) if analysis.statements[0].has_keyword(text, "references") => Err(unsupported(home, "a foreign key")),
                    Some(home) => Err(unsupported(home, "this kind of statement")),
                    None => Ok(Kind::Relayed),
                };
            }
            // LISTEN and the like: the word isn't a table.
            Verb::Other => return Ok(Kind::Relayed),
            Verb::OtherDefinition if drops_unnamed(&analysis.text, &analysis.statements[0].tokens) => return Ok(Kind::DropUnnamed),
            Verb::OtherDefinition if makes_view(analysis) => return Ok(Kind::CreateView),
            // A session has seen to it; who only explains needn't know its rows.
            Verb::OtherDefinition if Materialized::of(&analysis.text, &analysis.statements[0].tokens).is_some() => {
                return Ok(Kind::Materialize { fetches: Vec::new() });
            }
            Verb::OtherDefinition if defines_over_tables(analysis) => {
                return match self.named(analysis).next() {
                    Some(home) => Err(unsupported(home, "a trigger, rule, policy or view")),
                    None => Ok(Kind::Relayed),
                };
            }
            Verb::CreateIndex if !analysis.statements[0].has_keyword(text, "unique") => return Ok(Kind::Relayed),
            Verb::Explain => return self.explain(text, analysis),
            Verb::Prepare => return self.prepare(text, analysis),
            _ => {}
        }
        let parsed = match parse_through(text, self.views) {
            Ok(parsed) => parsed,
            Err(error) => {
                return match self.unread_creation(analysis) {
                    Some(kind) => Ok(kind),
                    None => Err(self.unreadable(analysis, &error.to_string())),
                };
            }
        };
        self.refuse_unusable(verb, &parsed)?;
        match verb {
            Verb::CreateTable => self.create_table(parsed, analysis),
            _ => match self.planner().plan(&parsed) {
                None => Ok(Kind::Relayed),
                Some(Plan {
                    general: General::Refuse(error),
                    native: None,
                }) => Err(error),
                Some(Plan {
                    general: General::Read { fetches },
                    ..
                }) if verb == Verb::Copy => Ok(Kind::Copy { parsed, fetches }),
                Some(_) if verb == Verb::Copy => Err(self.unreadable(analysis, "COPY of a statement that writes to it")),
                Some(plan) => Ok(Kind::Planned { parsed, plan }),
            },
        }
    }

    /// The store tables that words of the statement name, with or without a schema.
    fn named<'s>(&'s self, analysis: &'s Analysis) -> impl Iterator<Item = &'s Arc<Home>> {
        let (text, tokens) = (&analysis.text, &analysis.statements[0].tokens);
        let is_dot = |at: usize| tokens.get(at).is_some_and(|token| text[token.range.clone()] == *".");
        let word = |at: usize| tokens[at].identifier(text).into_owned();
        let words = (0..tokens.len()).filter(|&at| matches!(tokens[at].kind, TokenKind::Word | TokenKind::QuotedWord));
        words.filter_map(move |at| {
            let name = RelationName {
                schema: (at >= 2 && is_dot(at - 1)).then(|| word(at - 2)),
                name: word(at),
            };
            self.known.homes.resolve(&name, self.visible)
        })
    }

    fn alter_table(&self, analysis: &Analysis) -> Result<Kind, PgError> {
        let statement = &analysis.statements[0];
        let altered = altered(&analysis.text, &statement.tokens);
        if let Some(home) = altered.and_then(|name| self.known.homes.resolve(&name, self.visible)) {
            return Ok(Kind::AlterTable { home: home.clone() });
        }
        // Another table that is to depend on one: all other words are names of columns, or of what isn't a table.
        let depends = ["references", "inherit", "attach"]
            .into_iter()
            .any(|word| statement.has_keyword(&analysis.text, word));
        match self.named(analysis).next() {
            Some(home) if depends => Err(unsupported(home, "inheritance from, or a foreign key to,")),
            _ => Ok(Kind::Relayed),
        }
    }

    fn drop_table(&self, analysis: &Analysis) -> Kind {
        let homes: Vec<_> = self.named(analysis).cloned().collect();
        if homes.is_empty() {
            Kind::Relayed
        } else {
            Kind::DropTable { homes }
        }
    }

    fn copy_from(&self, name: &RelationName, source: CopySource) -> Result<Kind, PgError> {
        self.refuse_unusable_name(name)?;
        match (self.known.homes.resolve(name, self.visible), source) {
            (None, _) => Ok(Kind::Relayed),
            (Some(home), CopySource::Stdin) => Ok(Kind::CopyFrom { home: home.clone() }),
            (Some(home), CopySource::Server) => {
                Err(unsupported(home, "COPY from a file or program on the server").with_hint("COPY … FROM STDIN works, and psql's \\copy."))
            }
        }
    }

    fn truncate(&self, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(names) = truncated(&analysis.text, &analysis.statements[0].tokens) else {
            return Ok(Kind::Relayed);
        };
        let mut homes: Vec<Arc<Home>> = Vec::new();
        for name in &names {
            self.refuse_unusable_name(name)?;
            match self.known.homes.resolve(name, self.visible) {
                Some(home) if !homes.iter().any(|each| each.name() == home.name()) => homes.push(home.clone()),
                // PostgreSQL truncates it.
                _ => {}
            }
        }
        let Some(first) = homes.first() else { return Ok(Kind::Relayed) };
        if homes.iter().any(|home| home.store_name != first.store_name) {
            return Err(unsupported(first, "TRUNCATE together with a table in another store")
                .with_hint("Two stores don't commit together: truncate the tables of each in a statement of its own."));
        }
        Ok(Kind::Truncate { homes })
    }

    fn planner(&self) -> Planner<'_> {
        Planner {
            homes: &self.known.homes,
            visible: self.visible,
            types: self.types,
        }
    }

    /// EXPLAIN of a statement that isn't a plain relay. Other options are PostgreSQL's, and mean nothing to Flywheel's plan.
    fn explain(&self, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(options) = Explained::of(text, &analysis.statements[0].tokens) else {
            return Ok(Kind::Relayed);
        };
        let parsed = parse_from(text, options.start, self.views).map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(Verb::Explain, &parsed)?;
        match self.planner().plan(&parsed) {
            None => Ok(Kind::Relayed),
            Some(plan) => {
                check_format(&options)?;
                Ok(Kind::Explain {
                    lines: flywheel_plan::explain::lines(&plan, &parsed, self.max_fetch_rows),
                    as_json: options.format == "json",
                })
            }
        }
    }

    fn prepare(&self, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some((name, range)) = prepared(text, &analysis.statements[0].tokens) else {
            return Ok(Kind::Relayed);
        };
        let parsed = parse_from(text, range.start, self.views).map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(Verb::Prepare, &parsed)?;
        match self.planner().plan(&parsed) {
            None => Ok(Kind::Relayed),
            Some(Plan {
                general: General::Refuse(error),
                native: None,
            }) => Err(error),
            Some(_) => Ok(Kind::Prepare {
                name,
                inner: text[range].to_owned(),
            }),
        }
    }

    /// CREATE TABLE in a form that sqlparser doesn't know: PostgreSQL does, and only the table's name matters, as long as the statement builds on no
    /// other table.
    fn unread_creation(&self, analysis: &Analysis) -> Option<Kind> {
        let statement = &analysis.statements[0];
        let builds_on = ["as", "like", "inherits", "partition", "references", "of"];
        let builds = builds_on.into_iter().any(|word| statement.has_keyword(&analysis.text, word));
        if makes_temporary(analysis) && statement.verb == Verb::CreateTable {
            return (!builds).then_some(Kind::Relayed);
        }
        let name = created(&analysis.text, &statement.tokens)?;
        match self.configured_as(&name) {
            Some(table) => Some(Kind::CreateTable {
                table: Box::new(table.clone()),
            }),
            None => (!builds).then_some(Kind::Relayed),
        }
    }

    /// The configured table that a new one of this name is.
    fn configured_as(&self, name: &RelationName) -> Option<&TableHome> {
        let schema = name.schema.as_deref().or(self.visible.current_schema.as_deref());
        let name = TableName::new(schema.unwrap_or("public"), &name.name);
        self.configured.iter().find(|table| table.name == name)
    }

    fn create_table(&self, mut parsed: Parsed, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(first) = parsed.relations.first_mut().filter(|relation| relation.role == Role::Object) else {
            return Ok(Kind::Relayed);
        };
        if makes_temporary(analysis) {
            // It is another table, whatever its name.
            first.name.schema = Some("pg_temp".into());
        }
        Ok(match self.configured_as(&first.name) {
            Some(table) => Kind::CreateTable {
                table: Box::new(table.clone()),
            },
            // A child's rows would have to be read with its parent's.
            None if ["inherits", "partition", "references"]
                .into_iter()
                .any(|word| analysis.statements[0].has_keyword(&analysis.text, word)) =>
            {
                match self.named(analysis).next() {
                    Some(home) => return Err(unsupported(home, "inheritance from, or a foreign key to,")),
                    None => Kind::Relayed,
                }
            }
            // CREATE TABLE … AS SELECT from a store table, or LIKE one.
            None => match self.planner().plan(&parsed) {
                Some(
                    plan @ Plan {
                        general: General::Read { .. },
                        ..
                    },
                ) => Kind::Planned { parsed, plan },
                _ => Kind::Relayed,
            },
        })
    }

    /// A table or view that the statement names, but that can't be used as it is.
    fn refuse_unusable(&self, verb: Verb, parsed: &Parsed) -> Result<(), PgError> {
        let reads = matches!(
            verb,
            Verb::Select
                | Verb::With
                | Verb::Insert
                | Verb::Update
                | Verb::Delete
                | Verb::Merge
                | Verb::Explain
                | Verb::Prepare
                | Verb::Copy
        );
        for relation in &parsed.relations {
            // DROP and ALTER are how an unusable table is mended.
            if relation.role != Role::Object || reads {
                self.refuse_unusable_name(&relation.name)?;
            }
        }
        Ok(())
    }

    fn refuse_unusable_name(&self, name: &RelationName) -> Result<(), PgError> {
        let refused = self.visible.resolve(name).and_then(|name| self.known.refused.get(&name));
        refused.map_or(Ok(()), |error| Err(error.clone()))
    }

    fn unreadable(&self, analysis: &Analysis, why: &str) -> PgError {
        unreadable(self.configured, analysis, why)
    }
}

/// The error of a statement on a store table that isn't understood.
pub(super) fn unreadable(configured: &[TableHome], analysis: &Analysis, why: &str) -> PgError {
    let named = configured
        .iter()
        .find(|table| analysis.statements[0].has_word(&analysis.text, |word| word == table.name.name));
    let (name, kind) = named.map_or_else(
        || ("a store table".to_owned(), "a store"),
        |table| (format!("table \"{}\"", table.name), table.store.kind()),
    );
    PgError::error(
        sqlstate::FEATURE_NOT_SUPPORTED,
        format!("the statement names {name}, homed in {kind}, in a form that Flywheel can't carry out: {why}"),
    )
    .with_hint("SELECT, INSERT, UPDATE, DELETE, COPY, TRUNCATE, CREATE, ALTER and DROP TABLE work on it; EXPLAIN shows how.")
}
