//! A statement that names a store table: described by PostgreSQL, read, planned; once per text and kept.

use std::sync::Arc;

use flywheel_plan::{General, Plan, Visible};
use flywheel_postgres::Described;
use flywheel_sql::{Explained, Verb};
use flywheel_wire::reply::Field;
use flywheel_wire::{PgError, sqlstate};

use super::cache_command;
use super::classify::{Kind, Maker, as_query, check_format, column_types};
use crate::analysis::Analysis;
use crate::execute::Arguments;
use crate::session::{Outcome, Session};

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
    /// Whether the role's rights were checked when it was planned.
    is_checked: bool,
}

impl StoreStatement {
    pub(super) fn described(&self) -> &Described {
        &self.described
    }

    /// Whether the role's rights are to be checked whenever it runs.
    pub(super) fn is_unchecked(&self) -> bool {
        !self.is_checked
    }

    /// Parameter types.
    pub(crate) fn parameters(&self) -> &[u32] {
        &self.described.parameters
    }

    /// Result columns, when it returns rows.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        self.described.fields.as_deref()
    }

    /// One of Flywheel's own, with the columns of its answer.
    pub(super) fn own(text: String, kind: Kind, fields: Option<Vec<Field>>) -> Self {
        Self {
            text,
            kind,
            described: Described {
                parameters: Vec::new(),
                fields,
            },
            names: None,
            version: 0,
            is_checked: true,
        }
    }

    /// An EXECUTE of it.
    pub(super) fn executed_by(&self, text: String, kind: Kind, described: Described) -> Self {
        Self {
            text,
            kind,
            described,
            names: self.names.clone(),
            version: self.version,
            is_checked: self.is_checked,
        }
    }

    /// Whether it is COPY out of store tables.
    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.kind, Kind::Copy { .. })
    }

    /// Whether it is of the cache's own.
    pub(crate) fn is_cache_command(&self) -> bool {
        matches!(self.kind, Kind::Cache(_))
    }

    /// The text of what it writes, with the types of its parameters. `None`: it may write anything.
    pub(crate) fn written(&self) -> Option<(&str, &[u32])> {
        match &self.kind {
            Kind::Execute { .. } => None,
            _ => Some((&self.text, &self.described.parameters)),
        }
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
    /// What decides what names mean: the statements that made the search path and the role.
    names: Option<String>,
}

impl Session {
    /// The statement of `analysis` (a text of one statement), from the cache or made now.
    pub(crate) async fn prepare_store(&mut self, analysis: &Arc<Analysis>, types: &[u32]) -> Outcome<Arc<StoreStatement>> {
        if let Some(statement) = self.prepare_execute(analysis).await? {
            return Ok(Arc::new(statement));
        }
        if let Some(statement) = cache_command::prepare(analysis)? {
            return Ok(Arc::new(statement));
        }
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
            self.naming()
        };
        let key = StatementKey {
            text: analysis.text.clone(),
            types: types.to_vec(),
            names,
        };
        if let Some(known) = self.access.statements.get(&key)
            && known.version == self.shared.catalogue.version()
        {
            return Ok(known);
        }
        let statement = Arc::new(self.make(analysis, types, key.names.clone()).await?);
        self.access.statements.insert(key, statement.clone());
        Ok(statement)
    }

    /// Whether the statement's plan still holds for this session.
    pub(crate) fn is_current(&self, statement: &StoreStatement) -> bool {
        !self.is_pinned() && statement.version == self.shared.catalogue.version() && self.naming() == statement.names
    }

    async fn make(&mut self, analysis: &Analysis, types: &[u32], names: Option<String>) -> Outcome<StoreStatement> {
        let text = analysis.text.clone();
        // PostgreSQL's word comes first: what is wrong with a statement is told as PostgreSQL tells it.
        let described = self.describe(&text, types).await?;
        let options = Explained::of(&text, &analysis.statements[0].tokens).filter(|options| options.analyze);
        if let Some(options) = options {
            return self.make_analyze(analysis, described, options, names).await;
        }
        let visible = self.visible().await?;
        let version = self.shared.catalogue.version();
        let known = self.shared.catalogue.known();
        if let Some(kind) = self.materializes(analysis, &known, &visible).await? {
            return Ok(StoreStatement {
                text,
                kind,
                described,
                names,
                version,
                is_checked: true,
            });
        }
        let text = as_query(analysis).unwrap_or(text);
        // A definition keeps the views that it names.
        let text = match analysis.statements[0].verb {
            Verb::OtherDefinition => text,
            _ => self.with_views(text, &known, &visible).await?,
        };
        let views = self.written_views(&text, &known, &visible).await?;
        // What is read of its words must be read of the text that they are in.
        let expanded = (as_query(analysis).is_none() && text != analysis.text).then(|| self.shared.analyses.of(&text));
        let analysis = expanded.as_deref().unwrap_or(analysis);
        let types = column_types(self.server().await?, &known, (analysis, &views)).await;
        let types = types.map_err(|error| self.server_failed(&error))?;
        let maker = Maker {
            types: &types,
            views: &views,
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
            for text in views.iter().map(|view| &view.with).chain([&analysis.text]) {
                let checked = super::effects::check(self.server().await?, text).await;
                checked.map_err(|error| self.server_failed(&error))?;
            }
        }
        let is_checked = match kind {
            Kind::Planned { .. } | Kind::Copy { .. } => self.check_rights(&text, &described).await?,
            _ => true,
        };
        Ok(StoreStatement {
            text,
            kind,
            described,
            names,
            version,
            is_checked,
        })
    }

    /// EXPLAIN ANALYZE, which carries the explained statement out.
    async fn make_analyze(
        &mut self,
        analysis: &Analysis,
        described: Described,
        options: Explained,
        names: Option<String>,
    ) -> Outcome<StoreStatement> {
        let version = self.shared.catalogue.version();
        let explained = self.shared.analyses.of(&analysis.text[options.start..]);
        let inner = Box::pin(self.prepare_store(&explained, &described.parameters)).await?;
        let kind = match inner.kind {
            Kind::Planned { .. } => {
                check_format(&options)?;
                Kind::Analyze { inner, options }
            }
            Kind::Relayed => Kind::Relayed,
            _ => {
                let message = "EXPLAIN ANALYZE of this kind of statement on a store table isn't supported";
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("EXPLAIN without ANALYZE shows the plan.")
                    .into());
            }
        };
        Ok(StoreStatement {
            text: analysis.text.clone(),
            kind,
            described,
            names,
            version,
            is_checked: true,
        })
    }

    async fn describe(&mut self, text: &str, types: &[u32]) -> Outcome<Described> {
        let lease = self.server().await?;
        let described = lease.describe(text, types).await;
        described.map_err(|error| self.server_failed(&error))
    }

    async fn visible(&mut self) -> Outcome<Visible> {
        let shared = self.shared.clone();
        let visible = shared.visible(self.server().await?).await;
        visible.map_err(|error| self.server_failed(&error))
    }

    /// The text to relay in a statement's place: itself, or COPY with rows put in. `None`: Flywheel answers it.
    pub(crate) async fn relayed_text(&mut self, statement: &StoreStatement, analysis: &Analysis) -> Outcome<Option<String>> {
        match &statement.kind {
            Kind::Relayed => Ok(Some(analysis.text.clone())),
            Kind::Copy { parsed, fetches } => {
                if statement.is_unchecked() {
                    self.check_rights_now(statement, &Arguments::default()).await?;
                }
                self.mixed_text(statement, parsed, fetches, &Arguments::default()).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}
