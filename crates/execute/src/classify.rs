//! What a statement is to Flywheel, decided from its text, the tables' homes, and what PostgreSQL
//! says of the names in it.

use std::sync::Arc;

use flywheel_plan::{
    ColumnTypes, Fetch, General, Home, Plan, Planner, Visible, check_alters, check_writes,
    unsupported,
};
use flywheel_sql::lex::TokenKind;
use flywheel_sql::{
    CopySource, Explained, Materialized, Parsed, RelationName, Role, Through, Verb, altered,
    copy_from, drops_unnamed, parse_through, prepared, truncated,
};
use flywheel_statement::Analysis;
use flywheel_types::TableName;
use flywheel_wire::{PgError, sqlstate};

use super::statement::Kind;
use crate::forms::{
    as_query, defines_over_tables, is_copy_of_query, lock_mode, makes_temporary, makes_view,
    parse_from,
};
use crate::homes::Known;
use crate::options::TableHome;

/// Flywheel's plan is given in two formats.
pub(super) fn check_format(options: &Explained) -> Result<(), PgError> {
    if matches!(options.format.as_str(), "text" | "json") {
        return Ok(());
    }
    let message = format!(
        "EXPLAIN (FORMAT {}) isn't supported for a statement on a store table",
        options.format.to_uppercase()
    );
    Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint("EXPLAIN gives Flywheel's plan as text or JSON."))
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
    pub(crate) fn kind(
        &self,
        verb: Verb,
        text: &str,
        analysis: &Analysis,
    ) -> Result<Kind, PgError> {
        if let Some((name, source)) = copy_from(&analysis.text, &analysis.statements[0].tokens) {
            return self.copy_from(&name, source);
        }
        match verb {
            Verb::Administration => return Ok(Kind::Relayed),
            // Their words say enough.
            Verb::DropTable => return Ok(self.drop_table(analysis)),
            Verb::Truncate => return self.truncate(analysis),
            Verb::AlterTable => return self.alter_table(analysis),
            Verb::Lock => return self.lock_table(analysis),
            Verb::Copy if as_query(analysis).is_none() && !is_copy_of_query(analysis) => {
                return match self.named(analysis).next() {
                    Some(home) if analysis.statements[0].has_keyword(text, "references") => {
                        Err(unsupported(home, "a foreign key"))
                    }
                    Some(home) => Err(unsupported(home, "this kind of statement")),
                    None => Ok(Kind::Relayed),
                };
            }
            // LISTEN and the like: the word isn't a table.
            Verb::Other => return Ok(Kind::Relayed),
            Verb::OtherDefinition
                if drops_unnamed(&analysis.text, &analysis.statements[0].tokens) =>
            {
                return Ok(Kind::DropUnnamed);
            }
            // Extended statistics say nothing of rows, and aren't made of any here.
            Verb::OtherDefinition
                if analysis.statements[0]
                    .tokens
                    .get(1)
                    .is_some_and(|token| token.is_keyword(text, "statistics")) =>
            {
                return Ok(Kind::Relayed);
            }
            Verb::OtherDefinition if makes_view(analysis) => return Ok(Kind::CreateView),
            // A session has seen to it; who only explains needn't know its rows.
            Verb::OtherDefinition
                if Materialized::of(&analysis.text, &analysis.statements[0].tokens).is_some() =>
            {
                return Ok(Kind::Materialize { fetches: Vec::new() });
            }
            Verb::OtherDefinition if defines_over_tables(analysis) => {
                return match self.named(analysis).next() {
                    Some(home) => Err(unsupported(home, "a trigger, rule, policy or view")),
                    None => Ok(Kind::Relayed),
                };
            }
            Verb::CreateIndex if !analysis.statements[0].has_keyword(text, "unique") => {
                return Ok(Kind::Relayed);
            }
            Verb::Explain => return self.explain(text, analysis),
            Verb::Prepare => return self.prepare(text, analysis),
            _ => {}
        }
        let parsed = parse_through(text, self.views)
            .map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(verb, &parsed)?;
        match verb {
            Verb::CreateTable => self.create_table(parsed, analysis),
            _ => match self.planner().plan(&parsed) {
                None => Ok(Kind::Relayed),
                Some(Plan { general: General::Refuse(error), native: None }) => Err(error),
                Some(Plan { general: General::Read { fetches, in_tables: false }, .. })
                    if verb == Verb::Copy =>
                {
                    Ok(Kind::Copy { parsed, fetches })
                }
                Some(Plan { general: General::Read { fetches, .. }, .. }) if verb == Verb::Copy => {
                    Err(copy_in_tables(&fetches))
                }
                Some(_) if verb == Verb::Copy => {
                    Err(self.unreadable(analysis, "COPY of a statement that writes to it"))
                }
                Some(plan) => Ok(Kind::Planned { parsed, plan }),
            },
        }
    }

    /// The store tables that words of the statement name, with or without a schema.
    fn named<'s>(&'s self, analysis: &'s Analysis) -> impl Iterator<Item = &'s Arc<Home>> {
        let (text, tokens) = (&analysis.text, &analysis.statements[0].tokens);
        let is_dot =
            |at: usize| tokens.get(at).is_some_and(|token| text[token.range.clone()] == *".");
        let word = |at: usize| tokens[at].identifier(text).into_owned();
        let words = (0..tokens.len())
            .filter(|&at| matches!(tokens[at].kind, TokenKind::Word | TokenKind::QuotedWord));
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
            check_alters(home)?;
            return Ok(Kind::AlterTable { home: home.clone() });
        }
        // Another table that is to depend on one: all other words are names of columns, or of what
        // isn't a table.
        let depends = ["references", "inherit", "attach"]
            .into_iter()
            .any(|word| statement.has_keyword(&analysis.text, word));
        match self.named(analysis).next() {
            Some(home) if depends => {
                Err(unsupported(home, "inheritance from, or a foreign key to,"))
            }
            _ => Ok(Kind::Relayed),
        }
    }

    /// LOCK TABLE in a mode that keeps no writer out: PostgreSQL has it for its own table, where
    /// whoever changes the definition meets it. Writers of the rows don't come there.
    fn lock_table(&self, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(home) = self.named(analysis).next() else {
            return Ok(Kind::Relayed);
        };
        let mode = lock_mode(&analysis.text, &analysis.statements[0].tokens);
        const OPEN: [&str; 4] =
            ["access share", "row share", "row exclusive", "share update exclusive"];
        if OPEN.contains(&mode.as_str()) {
            return Ok(Kind::Relayed);
        }
        let what = format!("LOCK TABLE in {} mode", mode.to_uppercase());
        Err(unsupported(home, &what).with_hint(
            "Lock rows by SELECT … FOR UPDATE, or serialize by pg_advisory_xact_lock. \
             Modes that keep no writer out can be used, such as ACCESS SHARE.",
        ))
    }

    fn drop_table(&self, analysis: &Analysis) -> Kind {
        let homes: Vec<_> = self.named(analysis).cloned().collect();
        if !homes.is_empty() {
            Kind::DropTable { homes }
        } else if drops_unnamed(&analysis.text, &analysis.statements[0].tokens) {
            Kind::DropUnnamed
        } else {
            Kind::Relayed
        }
    }

    fn copy_from(&self, name: &RelationName, source: CopySource) -> Result<Kind, PgError> {
        self.refuse_unusable_name(name)?;
        match (self.known.homes.resolve(name, self.visible), source) {
            (None, _) => Ok(Kind::Relayed),
            (Some(home), CopySource::Stdin) => {
                check_writes(home)?;
                Ok(Kind::CopyFrom { home: home.clone() })
            }
            (Some(home), CopySource::Server) => {
                Err(unsupported(home, "COPY from a file or program on the server")
                    .with_hint("COPY … FROM STDIN works, and psql's \\copy."))
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
                Some(home) if !homes.iter().any(|each| each.name() == home.name()) => {
                    homes.push(home.clone())
                }
                // PostgreSQL truncates it.
                _ => {}
            }
        }
        let Some(first) = homes.first() else { return Ok(Kind::Relayed) };
        homes.iter().try_for_each(|home| check_writes(home))?;
        if homes.iter().any(|home| home.store_name != first.store_name) {
            return Err(unsupported(first, "TRUNCATE together with a table in another store")
                .with_hint("Two stores don't commit together: truncate the tables of each in a statement of its own."));
        }
        Ok(Kind::Truncate { homes })
    }

    fn planner(&self) -> Planner<'_> {
        Planner { homes: &self.known.homes, visible: self.visible, types: self.types }
    }

    /// EXPLAIN of a statement that isn't a plain relay. Other options are PostgreSQL's, and mean
    /// nothing to Flywheel's plan.
    fn explain(&self, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(options) = Explained::of(text, &analysis.statements[0].tokens) else {
            return Ok(Kind::Relayed);
        };
        let parsed = parse_from(text, options.start, self.views)
            .map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(Verb::Explain, &parsed)?;
        match self.planner().plan(&parsed) {
            None => Ok(Kind::Relayed),
            Some(Plan { general: General::Refuse(error), native: None }) => Err(error),
            Some(plan) => {
                check_format(&options)?;
                Ok(Kind::Explain {
                    lines: flywheel_plan::explain::lines(
                        &plan,
                        (text, &parsed),
                        self.max_fetch_rows,
                    ),
                    as_json: options.format == "json",
                })
            }
        }
    }

    fn prepare(&self, text: &str, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some((name, range)) = prepared(text, &analysis.statements[0].tokens) else {
            return Ok(Kind::Relayed);
        };
        let parsed = parse_from(text, range.start, self.views)
            .map_err(|error| self.unreadable(analysis, &error.to_string()))?;
        self.refuse_unusable(Verb::Prepare, &parsed)?;
        match self.planner().plan(&parsed) {
            None => Ok(Kind::Relayed),
            Some(Plan { general: General::Refuse(error), native: None }) => Err(error),
            Some(_) => Ok(Kind::Prepare { name, inner: text[range].to_owned() }),
        }
    }

    /// The configured table that a new one of this name is.
    fn configured_as(&self, name: &RelationName) -> Option<&TableHome> {
        let schema = name.schema.as_deref().or(self.visible.current_schema.as_deref());
        let name = TableName::new(schema.unwrap_or("public"), &name.name);
        self.configured.iter().find(|table| table.name == name)
    }

    fn create_table(&self, mut parsed: Parsed, analysis: &Analysis) -> Result<Kind, PgError> {
        let Some(first) =
            parsed.relations.first_mut().filter(|relation| relation.role == Role::Object)
        else {
            return Ok(Kind::Relayed);
        };
        if makes_temporary(analysis) {
            // It is another table, whatever its name.
            first.name.schema = Some("pg_temp".into());
        }
        Ok(match self.configured_as(&first.name) {
            Some(table) => Kind::CreateTable { table: Box::new(table.clone()) },
            // A child's rows would have to be read with its parent's.
            None if ["inherits", "partition", "references"]
                .into_iter()
                .any(|word| analysis.statements[0].has_keyword(&analysis.text, word)) =>
            {
                match self.named(analysis).next() {
                    Some(home) => {
                        return Err(unsupported(home, "inheritance from, or a foreign key to,"));
                    }
                    None => Kind::Relayed,
                }
            }
            // CREATE TABLE … AS SELECT from a store table, or LIKE one.
            None => match self.planner().plan(&parsed) {
                Some(plan @ Plan { general: General::Read { .. }, .. }) => {
                    Kind::Planned { parsed, plan }
                }
                Some(Plan { general: General::Refuse(error), .. })
                    if parsed.physical.clause.is_some()
                        || parsed.relations.iter().any(|relation| relation.role == Role::Read) =>
                {
                    return Err(error);
                }
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

/// COPY of a query that rows in its tables' places can't answer.
pub(super) fn copy_in_tables(fetches: &[Fetch]) -> PgError {
    let message = "COPY of a query that needs the table itself, by its primary key or a name with its schema, isn't supported";
    let error = PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Name the columns without the schema, and all of them in GROUP BY; or run the query by itself.");
    match fetches.first() {
        Some(fetch) => error
            .with_field(b's', fetch.home.name().schema.clone())
            .with_field(b't', fetch.home.name().name.clone()),
        None => error,
    }
}

/// The error of a statement on a store table that isn't understood.
pub(super) fn unreadable(configured: &[TableHome], analysis: &Analysis, why: &str) -> PgError {
    let named = configured.iter().find(|table| {
        analysis.statements[0].has_word(&analysis.text, |word| word == table.name.name)
    });
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
