//! A statement that names a store table: described by PostgreSQL, read, planned; once per text and
//! kept.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use flywheel_plan::{Fetch, General, Home, Plan, Visible};
use flywheel_postgres::Described;
use flywheel_sql::{Explained, Parsed, Through, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::reply::Field;
use flywheel_wire::{PgError, sqlstate};

use super::classify::{Maker, check_format, copy_in_tables};
use super::compared::{compared, named_types};
use super::expressions::Expressions;
use super::forms::as_query;
use super::new_values::NewValues;
use super::rewritten::Rewritten;
use super::rights::copied;
use super::skipping::chooses;
use super::statement::{Freshness, Kind, StatementKey, StoreStatement};
use super::{cache_command, copy_to};
use crate::apart;
use crate::client_statement::has_moment;
use crate::failure::{Failure, Outcome};
use crate::homes::Known;
use crate::host::{Executor, Host};
use flywheel_statement::long::on_text;

/// About how much memory a plan takes, with its key: by itself, and for each token of its text.
const PLAN: usize = 4096;
const PLANNED_TOKEN: usize = 160;

impl<H: Host> Executor<'_, H> {
    /// The statement of `analysis` (a text of one statement), from the cache or made now.
    pub async fn prepare_store(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
    ) -> Outcome<Arc<StoreStatement>> {
        self.settle_definitions().await?;
        if let Some(statement) = self.prepare_execute(analysis).await? {
            return Ok(Arc::new(statement));
        }
        if let Some(statement) = cache_command::prepare(analysis)? {
            return Ok(Arc::new(statement));
        }
        self.check_conforming(&analysis.text)?;
        // A pinned session may have temporary tables, and settings and a role that aren't known
        // here.
        let names = if self.is_pinned() {
            Some(format!("{:?}", self.visible_to_role(false).await?))
        } else {
            self.naming()
        };
        let key = StatementKey { text: analysis.text.clone(), types: types.to_vec(), names };
        if let Some(known) = self.known_plan(&key)
            && known.is_of(self.catalogue().version())
        {
            known.freshness.is_old.store(true, Ordering::Relaxed);
            return Ok(known);
        }
        let statement = Arc::new(self.make_at_once(analysis, types, &key.names).await?);
        // What a transaction sees of definitions is nobody else's.
        if !self.block().definitions.are_own() {
            let bytes = PLANNED_TOKEN * analysis.token_count() + PLAN;
            self.keep_plan(key, statement.clone(), bytes);
        }
        Ok(statement)
    }

    /// Makes a plan. It takes several questions to PostgreSQL: where a definition has changed
    /// between two of them, it is made anew.
    async fn make_at_once(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
        names: &Option<String>,
    ) -> Outcome<StoreStatement> {
        loop {
            let before = self.catalogue().version();
            match self.make(analysis, types, names.clone()).await {
                Err(Failure::Statement(error))
                    if error.code().starts_with("42")
                        && self.status() == TransactionStatus::Idle =>
                {
                    self.visible_to_role(false).await?;
                    if self.catalogue().version() == before {
                        return Err(error.into());
                    }
                }
                // What PostgreSQL has described may be by the definition before.
                Ok(made)
                    if made.version != before
                        && matches!(made.kind, Kind::Planned { .. })
                        && self.status() == TransactionStatus::Idle => {}
                made => return made,
            }
        }
    }

    async fn make(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
        names: Option<String>,
    ) -> Outcome<StoreStatement> {
        let text = analysis.text.clone();
        // PostgreSQL's word comes first: what is wrong with a statement is told as PostgreSQL tells
        // it.
        let described = self.describe(&text, types).await?;
        let options =
            Explained::of(&text, &analysis.statements[0].tokens).filter(|options| options.analyze);
        if let Some(options) = options {
            return self.make_analyze(analysis, described, options, names).await;
        }
        let (mut visible, mut known, mut version) = self.definitions().await?;
        if !known.occupied.is_empty() {
            // Somebody may have emptied them.
            let shared = self.stores().clone();
            let looked = shared.look_for_rows(self.server().await?).await;
            looked.map_err(|error| self.server_failed(&error))?;
            (visible, known, version) = self.definitions().await?;
        }
        if let Some(kind) = self.materializes(analysis, &known, &visible).await? {
            return Ok(StoreStatement {
                named: text.clone(),
                text,
                kind,
                described,
                names,
                version,
                is_checked: true,
                rewritten: None,
                expressions: None,
                new_values: None,
                freshness: Freshness::default(),
                serving: OnceLock::new(),
            });
        }
        // Views are still in it: PostgreSQL checks the rights on what is behind them as it does.
        let named = as_query(analysis).unwrap_or_else(|| text.clone());
        let text = match self.copied_as_query(analysis, &known, &visible).await {
            Ok(Some(query)) => query,
            Ok(None) => as_query(analysis).unwrap_or(text),
            // PostgreSQL looks at a COPY when it runs it.
            Err(Failure::Statement(error)) => {
                return Ok(StoreStatement::failing(text, described, error));
            }
            Err(failure) => return Err(failure),
        };
        // A definition keeps the views that it names.
        let text = match analysis.statements[0].verb {
            Verb::OtherDefinition => text,
            _ => self.with_views(text, &known, &visible).await?,
        };
        let views = self.written_views(&text, &known, &visible).await?;
        // What is read of its words must be read of the text that they are in.
        let expanded = (as_query(analysis).is_none() && text != analysis.text)
            .then(|| self.stores().analyses.of(&text));
        let analysis = expanded.as_ref().unwrap_or(analysis);
        let views = Arc::new(views);
        let (kind, known) = self.kind_of(&text, analysis, (known, visible, views.clone())).await?;
        if let Kind::Planned {
            plan: Plan { general: General::Write { .. }, native: None }, ..
        } = &kind
        {
            for text in views.iter().map(|view| &view.with).chain([&analysis.text]) {
                let checked = super::effects::check(self.server().await?, text).await;
                checked.map_err(|error| self.server_failed(&error))?;
            }
        }
        match &kind {
            Kind::Planned { plan, .. } => {
                if let General::Write { targets, .. } = &plan.general {
                    let texts =
                        views.iter().map(|view| view.with.as_str()).chain([analysis.text.as_str()]);
                    self.check_code(texts, targets.iter().map(|target| &*target.home)).await?;
                }
            }
            // Its rows come in a transaction that isn't guarded.
            Kind::Copy { .. } => self.check_code([analysis.text.as_str()], []).await?,
            Kind::CopyFrom { home } | Kind::AlterTable { home } => {
                self.check_code([analysis.text.as_str()], [&**home]).await?
            }
            _ => {}
        }
        let is_checked = match kind {
            Kind::Planned { .. } | Kind::Copy { .. } => {
                self.check_rights(&named, &described).await?
            }
            Kind::Explain { .. } => self.check_rights_of_explained(&named, &described).await?,
            _ => true,
        };
        let (kind, rewritten) = self.rewrite(kind, (&text, analysis), &described, &known).await?;
        let (mut expressions, mut new_values) = (None, None);
        if let Kind::Planned { parsed, plan } = &kind {
            let types = &described.parameters;
            let may_be_kept = is_plain(analysis) && !has_moment(analysis);
            expressions = Expressions::of(self, plan, types, may_be_kept).await?;
            new_values = NewValues::of(self, (&text, parsed), plan, (types, may_be_kept)).await?;
        }
        if let Kind::Planned { plan, .. } = &kind
            && let General::Read { fetches, in_tables: true } = &plan.general
        {
            self.check_code([text.as_str()], fetches.iter().map(|fetch| &*fetch.home)).await?;
        }
        Ok(StoreStatement {
            text,
            named,
            kind,
            described,
            names,
            version,
            is_checked,
            rewritten,
            expressions,
            new_values,
            freshness: Freshness::default(),
            serving: OnceLock::new(),
        })
    }

    /// Reads the statement and decides what it is.
    async fn kind_of(
        &mut self,
        text: &str,
        analysis: &Arc<Analysis>,
        (known, visible, views): (Arc<Known>, Visible, Arc<Vec<Through>>),
    ) -> Outcome<(Kind, Arc<Known>)> {
        let read = (analysis.clone(), known.clone(), views.clone());
        let names = on_text(text.len(), move || compared(&read.1, &read.0, &read.2)).await;
        let types = named_types(self.server().await?, &names).await;
        let types = types.map_err(|error| self.server_failed(&error))?;
        let (shared, analysis, text) = (self.stores().clone(), analysis.clone(), text.to_owned());
        let made = on_text(text.len(), move || {
            let maker = Maker {
                types: &types,
                views: &views,
                known: &known,
                visible: &visible,
                max_fetch_rows: shared.max_fetch_rows,
                configured: shared.catalogue.configured(),
            };
            let kind = maker.kind(analysis.statements[0].verb, &text, &analysis);
            kind.map(|kind| (kind, known))
        });
        Ok(made.await?)
    }

    /// EXPLAIN ANALYZE, which carries the explained statement out.
    async fn make_analyze(
        &mut self,
        analysis: &Analysis,
        described: Described,
        options: Explained,
        names: Option<String>,
    ) -> Outcome<StoreStatement> {
        let version = self.catalogue().version();
        let explained = self.stores().analyses.of(&analysis.text[options.start..]);
        let inner = Box::pin(self.prepare_store(&explained, &described.parameters)).await?;
        let kind = match inner.kind {
            Kind::Planned { .. } => {
                check_format(&options)?;
                Kind::Analyze { inner, options }
            }
            Kind::Relayed => Kind::Relayed,
            _ => {
                let message =
                    "EXPLAIN ANALYZE of this kind of statement on a store table isn't supported";
                return Err(PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .with_hint("EXPLAIN without ANALYZE shows the plan.")
                    .into());
            }
        };
        Ok(StoreStatement {
            text: analysis.text.clone(),
            named: analysis.text.clone(),
            kind,
            described,
            names,
            version,
            is_checked: true,
            rewritten: None,
            expressions: None,
            new_values: None,
            freshness: Freshness::default(),
            serving: OnceLock::new(),
        })
    }

    /// The text with rows in the places of tables. PostgreSQL is asked whether it takes it: where
    /// it doesn't, as it takes a column that the primary key in GROUP BY decides only of a table,
    /// the rows are put into the tables.
    async fn rewrite(
        &mut self,
        kind: Kind,
        (text, analysis): (&str, &Analysis),
        described: &Described,
        known: &Known,
    ) -> Outcome<(Kind, Option<Rewritten>)> {
        match kind {
            Kind::Planned { parsed, plan } => {
                let (General::Read { fetches, in_tables }
                | General::Write { fetches, in_tables, .. }) = &plan.general
                else {
                    return Ok((Kind::Planned { parsed, plan }, None));
                };
                if *in_tables {
                    let rewritten = unlocked(text, &parsed, &plan);
                    return Ok((Kind::Planned { parsed, plan }, rewritten));
                }
                if fetches.is_empty() {
                    return Ok((Kind::Planned { parsed, plan }, None));
                }
                if matches!(plan.general, General::Read { .. })
                    && self.may_choose((text, &parsed), fetches).await?
                {
                    let native = plan.native.clone();
                    let whole =
                        |home: &Arc<Home>| known.homes.get(home.name()).unwrap_or(home).clone();
                    let plan = Plan { native, ..plan.in_tables(&whole) };
                    return Ok((Kind::Planned { parsed, plan }, None));
                }
                let rewritten = Rewritten::of(text, &parsed, fetches, described.parameters.len());
                let rewritten = rewritten.kept_if(is_plain(analysis) && !has_moment(analysis));
                if plan.native.is_some() || self.is_taken(&rewritten.text, described).await? {
                    return Ok((Kind::Planned { parsed, plan }, Some(rewritten)));
                }
                let plan =
                    plan.in_tables(&|home| known.homes.get(home.name()).unwrap_or(home).clone());
                let rewritten = unlocked(text, &parsed, &plan);
                Ok((Kind::Planned { parsed, plan }, rewritten))
            }
            Kind::Copy { parsed, fetches } => {
                let rewritten = Rewritten::with(text, &parsed, &fetches, copy_to::rows_setting);
                let query = copied(&rewritten.text).unwrap_or_default();
                let original = self.describe(copied(text).unwrap_or_default(), &[]).await?;
                if !self.is_taken(query, &original).await? {
                    return Err(copy_in_tables(&fetches).into());
                }
                Ok((Kind::Copy { parsed, fetches }, Some(rewritten)))
            }
            kind => Ok((kind, None)),
        }
    }

    /// Whether PostgreSQL may choose in its own tables which rows a statement locks: the role may
    /// put rows there, and the statement's code leaves them alone.
    async fn may_choose(
        &mut self,
        (text, parsed): (&str, &Parsed),
        fetches: &[Fetch],
    ) -> Outcome<bool> {
        if !chooses(parsed, fetches) || !self.only_reads(text, parsed, fetches) {
            return Ok(false);
        }
        let may: Vec<_> = fetches
            .iter()
            .map(|fetch| {
                let oid = fetch.home.table.table.oid;
                format!("pg_catalog.has_table_privilege({oid}::pg_catalog.oid, 'INSERT')")
            })
            .collect();
        let asked = self.results_on_server(&format!("SELECT {}", may.join(" AND "))).await?;
        if asked.first().is_none_or(|rows| rows.text(0, 0) != "t") {
            return Ok(false);
        }
        match self.check_code([text], fetches.iter().map(|fetch| &*fetch.home)).await {
            Ok(()) => Ok(true),
            Err(Failure::Statement(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether PostgreSQL takes a rewritten text for the same as the one that it has described.
    async fn is_taken(&mut self, text: &str, described: &Described) -> Outcome<bool> {
        let shape = |fields: &Option<Vec<Field>>| {
            let fields = fields.iter().flatten();
            fields
                .map(|field| (field.name.clone(), field.type_oid, field.typmod))
                .collect::<Vec<_>>()
        };
        let taken = self.try_describe(text, &described.parameters).await?;
        Ok(taken.is_some_and(|taken| {
            taken.parameters.starts_with(&described.parameters)
                && shape(&taken.fields) == shape(&described.fields)
        }))
    }

    /// What PostgreSQL says of a text of Flywheel's own. `None` where it doesn't take it: the block
    /// goes on.
    pub(super) async fn try_describe(
        &mut self,
        text: &str,
        types: &[u32],
    ) -> Outcome<Option<Described>> {
        let in_block = apart::begin(self).await?;
        let described = self.describe(text, types).await;
        match apart::undo(self, in_block, described).await {
            Ok(described) => Ok(Some(described)),
            Err(Failure::Statement(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Has PostgreSQL read a text in a block that has failed: what is wrong with it is told before
    /// that it has.
    pub async fn read_in_failed_block(&mut self, text: &str, types: &[u32]) -> Outcome<()> {
        self.describe(text, types).await.map(drop)
    }

    pub(super) async fn describe(&mut self, text: &str, types: &[u32]) -> Outcome<Described> {
        let lease = self.server().await?;
        let described = lease.describe(text, types).await;
        described.map_err(|error| self.server_failed(&error))
    }

    /// What names mean, the definitions that PostgreSQL has said to be current, and their version.
    /// Others may read them anew meanwhile, from an earlier state of the catalogue.
    async fn definitions(&mut self) -> Outcome<(Visible, Arc<Known>, u64)> {
        loop {
            let version = self.catalogue().version();
            let (visible, _) = self.visible_to_role(true).await?;
            let known = self.catalogue().known();
            if self.catalogue().version() == version {
                return Ok((visible, known, version));
            }
        }
    }
}

/// Whether the statement's plan still holds for this session.
pub fn is_current(host: &impl Host, statement: &StoreStatement) -> bool {
    let catalogue = host.block().definitions.catalogue(&host.stores().catalogue);
    !host.is_pinned()
        && host.redefined().is_empty()
        && statement.is_of(catalogue.version())
        && host.naming() == statement.names
}

/// The text of a write that runs over rows in tables, when it is another.
fn unlocked(text: &str, parsed: &Parsed, plan: &Plan) -> Option<Rewritten> {
    let General::Write { targets, fetches, .. } = &plan.general else {
        return None;
    };
    // The table of an INSERT is read nowhere.
    let inserted = (0..parsed.relations.len()).filter(|&place| parsed.relations[place].inserted);
    let fetches = targets.iter().filter_map(|target| target.fetch.as_ref()).chain(fetches);
    let homed: Vec<usize> = fetches.map(|fetch| fetch.relation).chain(inserted).collect();
    Rewritten::unlocked(text, parsed, &homed)
}

/// Whether it is a query or a write, of which a connection may keep as many as there are.
fn is_plain(analysis: &Analysis) -> bool {
    let verbs = [Verb::Select, Verb::With, Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge];
    matches!(&analysis.statements[..], [only] if verbs.contains(&only.verb))
}
