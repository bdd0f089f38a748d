//! A statement that names a store table: described by PostgreSQL, read, planned; once per text and kept.

use std::sync::Arc;

use flywheel_plan::{ColumnTypes, Fetch, General, Home, Plan, Planner, Visible, unsupported};
use flywheel_postgres::{Connection, Described, ServerError};
use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Fact, Parsed, RelationName, Role, Verb, parse};
use flywheel_types::TableName;
use flywheel_wire::reply::Field;
use flywheel_wire::{PgError, sqlstate};

use crate::analysis::Analysis;
use crate::execute::Arguments;
use crate::homes::Known;
use crate::options::TableHome;
use crate::session::{Outcome, Session};

/// What a statement is to Flywheel.
#[derive(Debug)]
pub(crate) enum Kind {
    /// It reads or writes store tables.
    Planned { parsed: Parsed, plan: Plan },
    /// EXPLAIN of one that does; the lines of the answer.
    Explain { lines: Vec<String> },
    /// CREATE TABLE of a table that the configuration homes in a store.
    CreateTable { table: Box<TableHome> },
    /// DROP TABLE of these store tables.
    DropTable { homes: Vec<Arc<Home>> },
    /// COPY out of store tables, as COPY of a query: relayed with their rows put in.
    Copy { parsed: Parsed, fetches: Vec<Fetch> },
    /// It only looked like one, or does nothing that concerns the rows: relayed.
    Relayed,
}

/// A statement and what was found about it.
#[derive(Debug)]
pub(crate) struct StoreStatement {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    described: Described,
    /// What decided what its names mean.
    names: Option<String>,
    /// The catalogue's version that it was planned for.
    version: u64,
}

impl StoreStatement {
    /// Parameter types.
    pub(crate) fn parameters(&self) -> &[u32] {
        &self.described.parameters
    }

    /// Result columns, when it returns rows.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        self.described.fields.as_deref()
    }

    /// Whether it is COPY out of store tables.
    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.kind, Kind::Copy { .. })
    }

    /// Whether a server answers it after all, as it stands.
    pub(crate) fn is_relayed(&self) -> bool {
        matches!(self.kind, Kind::Relayed)
    }
}

/// What a kept statement was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StatementKey {
    text: String,
    types: Vec<u32>,
    /// What decides what names mean: the statement that made the search path.
    names: Option<String>,
}

impl Session {
    /// The statement of `analysis` (a text of one statement), from the cache or made now.
    pub(crate) async fn prepare_store(&mut self, analysis: &Arc<Analysis>, types: &[u32]) -> Outcome<Arc<StoreStatement>> {
        if analysis.text.contains('\\') && self.reported.get("standard_conforming_strings").is_some_and(|value| value == "off") {
            let message = "a statement on a store table can't be read while standard_conforming_strings is off";
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Write backslashes in E'…' strings with standard_conforming_strings on.")
                .into());
        }
        // A pinned session may have temporary tables, and settings that aren't known here.
        let names = if self.is_pinned() {
            Some(format!("{:?}", self.visible().await?))
        } else {
            self.setting("search_path").map(str::to_owned)
        };
        let key = StatementKey {
            text: analysis.text.clone(),
            types: types.to_vec(),
            names,
        };
        if let Some(known) = self.shared.statements.get(&key)
            && known.version == self.shared.catalogue.version()
        {
            return Ok(known);
        }
        let statement = Arc::new(self.make(analysis, types, key.names.clone()).await?);
        self.shared.statements.insert(key, statement.clone());
        Ok(statement)
    }

    /// Whether the statement's plan still holds for this session.
    pub(crate) fn is_current(&self, statement: &StoreStatement) -> bool {
        !self.is_pinned()
            && statement.version == self.shared.catalogue.version()
            && self.setting("search_path") == statement.names.as_deref()
    }

    async fn make(&mut self, analysis: &Analysis, types: &[u32], names: Option<String>) -> Outcome<StoreStatement> {
        let text = analysis.text.clone();
        // PostgreSQL's word comes first: what is wrong with a statement is told as PostgreSQL tells it.
        let described = self.describe(&text, types).await?;
        let shared = self.shared.clone();
        let reloaded = shared.reload_if_incomplete(self.server().await?).await;
        reloaded.map_err(|error| self.server_failed(&error))?;
        let visible = self.visible().await?;
        let version = self.shared.catalogue.version();
        let known = self.shared.catalogue.known();
        let text = as_query(analysis).unwrap_or(text);
        let types = column_types(self.server().await?, &known, analysis).await;
        let types = types.map_err(|error| self.server_failed(&error))?;
        let maker = Maker {
            types: &types,
            known: &known,
            visible: &visible,
            max_fetch_rows: self.shared.options.max_fetch_rows,
            configured: self.shared.catalogue.configured(),
        };
        let verb = analysis.statements[0].verb;
        let kind = maker.kind(verb, &text, analysis)?;
        if let Kind::Planned {
            plan: Plan {
                general: General::Write { .. },
                native: None,
            },
            ..
        } = &kind
        {
            let checked = super::effects::check(self.server().await?, analysis).await;
            checked.map_err(|error| self.server_failed(&error))?;
        }
        Ok(StoreStatement {
            text,
            kind,
            described,
            names,
            version,
        })
    }

    async fn describe(&mut self, text: &str, types: &[u32]) -> Outcome<Described> {
        let lease = self.server().await?;
        let described = lease.describe(text, types).await;
        described.map_err(|error| self.server_failed(&error))
    }

    async fn visible(&mut self) -> Outcome<Visible> {
        let names = self.shared.catalogue.names();
        let lease = self.server().await?;
        let visible = flywheel_postgres::catalogue::visible(lease, &names).await;
        let (current_schema, schemas) = visible.map_err(|error| self.server_failed(&error))?;
        Ok(Visible { current_schema, schemas })
    }

    /// The text to relay in a statement's place: itself, or COPY with rows put in. `None`: Flywheel answers it.
    pub(crate) async fn relayed_text(&mut self, statement: &StoreStatement, analysis: &Analysis) -> Outcome<Option<String>> {
        match &statement.kind {
            Kind::Relayed => Ok(Some(analysis.text.clone())),
            Kind::Copy { parsed, fetches } => self.mixed_text(statement, parsed, fetches, &Arguments::default()).await.map(Some),
            _ => Ok(None),
        }
    }
}

/// The types of columns that a statement compares with others, for the relations that aren't store tables.
pub(crate) async fn column_types(connection: &mut Connection, known: &Known, analysis: &Analysis) -> Result<ColumnTypes, ServerError> {
    let compares = |relation: &flywheel_sql::Relation| relation.conjuncts.iter().any(|conjunct| matches!(conjunct.fact, Fact::Same(..)));
    let Some(statement) = analysis.statements.first() else {
        return Ok(ColumnTypes::new());
    };
    // EXPLAIN's own words aren't sqlparser's.
    let inner = statement.tokens.iter().find(|token| {
        ["select", "with", "insert", "update", "delete"]
            .iter()
            .any(|verb| token.is_keyword(&analysis.text, verb))
    });
    let Some(Ok(parsed)) = inner.map(|token| parse(&analysis.text[token.range.start..])) else {
        return Ok(ColumnTypes::new());
    };
    let is_home = |relation: &flywheel_sql::Relation| known.homes.iter().any(|home| home.name().name == relation.name.name);
    let names: Vec<(usize, String)> = parsed
        .relations
        .iter()
        .enumerate()
        .filter(|(_, relation)| compares(relation) && !is_home(relation))
        .map(|(place, relation)| (place, relation.name.to_sql()))
        .collect();
    flywheel_postgres::catalogue::column_types(connection, &names).await
}

/// `TABLE t` as `SELECT * FROM t`, and `COPY t (columns) TO …` as `COPY (SELECT columns FROM t) TO …`: the same, in a form in which rows can
/// stand in the table's place. `None` for all other statements.
pub(crate) fn as_query(analysis: &Analysis) -> Option<String> {
    let (text, tokens) = (&analysis.text, &analysis.statements.first()?.tokens);
    let piece = |from: usize, to: usize| text.get(tokens[from].range.start..tokens[to].range.end);
    if tokens.first()?.is_keyword(text, "table") {
        return Some(format!("SELECT * FROM {}", piece(1, tokens.len() - 1)?));
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

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Copy => "COPY … FROM",
        Verb::Truncate => "TRUNCATE",
        Verb::AlterTable => "ALTER TABLE",
        Verb::Merge => "MERGE",
        _ => "this kind of statement",
    }
}

/// CREATE or ALTER of something that would act on a table's rows.
fn defines_over_tables(analysis: &Analysis) -> bool {
    let has = |word| analysis.statements[0].has_keyword(&analysis.text, word);
    !has("drop") && ["trigger", "rule", "policy", "view", "publication"].into_iter().any(has)
}

fn is_copy_of_query(analysis: &Analysis) -> bool {
    analysis.statements[0]
        .tokens
        .get(1)
        .is_some_and(|token| token.kind == TokenKind::Open)
}

/// Decides what a statement is.
pub(crate) struct Maker<'a> {
    pub(crate) known: &'a Known,
    pub(crate) visible: &'a Visible,
    pub(crate) types: &'a ColumnTypes,
    pub(crate) max_fetch_rows: usize,
    pub(crate) configured: &'a [TableHome],
}

impl Maker<'_> {
    pub(crate) fn kind(&self, verb: Verb, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        match verb {
            Verb::Administration => return Ok(Kind::Relayed),
            // sqlparser doesn't say which tables these name.
            Verb::DropTable => return Ok(self.drop_table(analysis)),
            Verb::Copy | Verb::Truncate | Verb::AlterTable | Verb::Merge | Verb::Lock
                if as_query(analysis).is_none() && !is_copy_of_query(analysis) =>
            {
                return match self.named(analysis).next() {
                    Some(home) => Err(unsupported(home, verb_name(verb))),
                    None => Ok(Kind::Relayed),
                };
            }
            // LISTEN and the like: the word isn't a table.
            Verb::Other => return Ok(Kind::Relayed),
            Verb::OtherDefinition if defines_over_tables(analysis) => {
                return match self.named(analysis).next() {
                    Some(home) => Err(unsupported(home, "a trigger, rule, policy or view")),
                    None => Ok(Kind::Relayed),
                };
            }
            Verb::CreateIndex if !analysis.statements[0].has_keyword(text, "unique") => return Ok(Kind::Relayed),
            Verb::Explain => return self.explain(text, analysis),
            _ => {}
        }
        let parsed = match parse(text) {
            Ok(parsed) => parsed,
            Err(error) => return Err(self.unreadable(analysis, &error.to_string())),
        };
        self.refuse_unusable(&parsed)?;
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
                // Its rows would be frozen at what they are now.
                Some(_) if verb == Verb::Prepare => Err(self.unreadable(analysis, "PREPARE; prepare it by the protocol, as drivers do")),
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

    fn drop_table(&self, analysis: &Analysis) -> Kind {
        let homes: Vec<_> = self.named(analysis).cloned().collect();
        if homes.is_empty() {
            Kind::Relayed
        } else {
            Kind::DropTable { homes }
        }
    }

    fn planner(&self) -> Planner<'_> {
        Planner {
            homes: &self.known.homes,
            visible: self.visible,
            types: self.types,
        }
    }

    /// EXPLAIN of a statement that isn't a plain relay. Options in parentheses are PostgreSQL's, and mean nothing to Flywheel's plan.
    fn explain(&self, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        let tokens = &analysis.statements[0].tokens;
        let mut at = 1;
        if tokens.get(at).is_some_and(|token| text[token.range.clone()] == *"(") {
            at += tokens[at..]
                .iter()
                .position(|token| text[token.range.clone()] == *")")
                .map_or(0, |close| close + 1);
        }
        while tokens
            .get(at)
            .is_some_and(|token| token.is_keyword(text, "analyze") || token.is_keyword(text, "verbose"))
        {
            at += 1;
        }
        if tokens[..at].iter().any(|token| token.is_keyword(text, "analyze")) {
            return Err(PgError::error(
                sqlstate::FEATURE_NOT_SUPPORTED,
                "EXPLAIN ANALYZE isn't supported for a statement on a store table",
            )
            .with_hint("EXPLAIN without ANALYZE shows the plan."));
        }
        let format = tokens[..at].iter().position(|token| token.is_keyword(text, "format"));
        if let Some(format) = format
            .and_then(|format| tokens.get(format + 1))
            .filter(|format| !format.is_keyword(text, "text"))
        {
            let message = format!(
                "EXPLAIN (FORMAT {}) isn't supported for a statement on a store table",
                &text[format.range.clone()]
            );
            return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint("EXPLAIN gives Flywheel's plan as text."));
        }
        let Some(inner) = tokens.get(at).map(|token| &text[token.range.start..]) else {
            return Ok(Kind::Relayed);
        };
        let parsed = parse(inner).map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(&parsed)?;
        Ok(match self.planner().plan(&parsed) {
            None => Kind::Relayed,
            Some(plan) => Kind::Explain {
                lines: flywheel_plan::explain::lines(&plan, &parsed, self.max_fetch_rows),
            },
        })
    }

    fn create_table(&self, parsed: Parsed, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(first) = parsed.relations.first().filter(|relation| relation.role == Role::Object) else {
            return Ok(Kind::Relayed);
        };
        let schema = first.name.schema.as_deref().or(self.visible.current_schema.as_deref());
        let name = TableName::new(schema.unwrap_or("public"), &first.name.name);
        Ok(match self.configured.iter().find(|table| table.name == name) {
            Some(table) => Kind::CreateTable {
                table: Box::new(table.clone()),
            },
            // A child's rows would have to be read with its parent's.
            None if analysis.statements[0].has_keyword(&analysis.text, "inherits")
                || analysis.statements[0].has_keyword(&analysis.text, "partition") =>
            {
                match self.named(analysis).next() {
                    Some(home) => return Err(unsupported(home, "inheritance")),
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
    fn refuse_unusable(&self, parsed: &Parsed) -> Result<(), PgError> {
        for relation in &parsed.relations {
            // DROP and ALTER are how an unusable table is mended.
            if relation.role != Role::Object
                && let Some(error) = self.visible.resolve(&relation.name).and_then(|name| self.known.refused.get(&name))
            {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    fn unreadable(&self, analysis: &Analysis, why: &str) -> PgError {
        let named = self
            .configured
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
        .with_hint("SELECT, INSERT, UPDATE, DELETE, CREATE TABLE and DROP TABLE work on it; EXPLAIN shows how.")
    }
}
