//! Statements that aren't proved to leave PostgreSQL's own tables of store tables alone
//! ([`flywheel_execute::twin`]): they run in a transaction in which PostgreSQL's counters are read
//! before and after, in the same writes, and fail when these have moved. The end of their answer is
//! kept back until that is known; rows go to the client as they come.

mod answer;
mod batch;
mod exchange;
mod own;
mod proofs;
mod proving;
mod unguardable;

use std::sync::Arc;

use flywheel_plan::Home;
use flywheel_statement::Analysis;
use flywheel_wire::PgError;

use super::{Outcome, Session};

pub(super) use proofs::Proofs;

/// The name of [`flywheel_execute::twin::CONSTRAINTS`] as a prepared statement.
const WAITING: &str = "flywheel_constraints";
/// Plans in which functions were computed when they were made.
const FOLDED: &str = "flywheel_folded";
/// No table's types may change.
const NO_TABLE: &str = "{}";

/// Whether something in the session's temporary schema makes PostgreSQL run functions that aren't
/// its own.
const TEMPORARY_CODE: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema())
 OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.pg_my_temp_schema() AND (
   c.relkind = 'v' OR c.relhastriggers OR c.relhasrules OR c.relrowsecurity
   OR EXISTS (SELECT FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d ON d.objid = a.oid
     WHERE a.adrelid = c.oid AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
     AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass)
   OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
   OR EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND t.oid >= 16384 AND (t.typtype NOT IN ('b', 'e') OR t.typelem >= 16384))
   OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)))
 OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema() AND typtype = 'd')";

/// Objects with lower numbers are the system's (`FirstNormalObjectId`).
pub(super) const FIRST_NORMAL: u32 = 16384;

/// What was sent for Flywheel's own sake, in an exchange that ends in ReadyForQuery.
#[derive(Debug, Default)]
struct Quiet {
    first: String,
    failed: Option<PgError>,
}

/// Statements of a session that are guarded, one at a time, and what they leave behind.
pub(super) struct Guard<'s> {
    pub(super) session: &'s mut Session,
}

/// Guarded statements of a session's batch.
pub(super) struct GuardedBatch<'s> {
    pub(super) session: &'s mut Session,
}

/// The messages that guard a session's statements.
pub(super) struct GuardMessages<'s> {
    pub(super) session: &'s mut Session,
}

/// A session that finds out whether its texts have to be guarded.
pub(super) struct Proving<'s> {
    pub(super) session: &'s mut Session,
}

impl Guard<'_> {
    /// A definition was made. `temporary`: of the session alone.
    pub(crate) fn note_definition(&mut self, temporary: bool) {
        if self.session.shared.stores.twins.is_empty() {
            return;
        }
        if temporary || self.session.is_pinned() {
            self.session.guarding.note_temporary();
        }
        if !temporary {
            self.session.guarding.note_definition();
            self.session.shared.stores.twins.outdate();
        }
    }

    /// The server is at rest: outside a transaction others see what was defined.
    pub(super) async fn settle(&mut self) -> Outcome<()> {
        self.session.guarding.held.end();
        self.session.guarding.held.tell(&mut self.session.client.out);
        self.tell_settings();
        if self.session.transaction.is_idle() && self.session.guarding.end_block() {
            self.session.shared.stores.twins.outdate();
        }
        if self.session.guarding.is_temporary_unknown() && !self.session.transaction.has_failed() {
            if !self.session.is_pinned() || !self.session.has_server() {
                self.session.guarding.settle_temporary(false);
                return Ok(());
            }
            let asked = self.session.own_statements().results_on_server(TEMPORARY_CODE).await?;
            let runs_code = asked.first().is_some_and(|rows| rows.text(0, 0) == "t");
            self.session.guarding.settle_temporary(runs_code);
        }
        Ok(())
    }

    /// As an array: the tables whose types a statement may change, since they have no rows.
    async fn changing(&mut self, analysis: &Analysis) -> Outcome<String> {
        let defines = |statement: &flywheel_sql::Statement| statement.verb.is_definition();
        if !analysis.statements.iter().any(defines) {
            return Ok(NO_TABLE.into());
        }
        let known = self.session.shared.stores.catalogue.known();
        let has_own_types = |home: &&Arc<Home>| {
            let mut columns = home.table.table.columns.iter();
            columns.any(|column| column.ty.declared >= FIRST_NORMAL)
        };
        let mut empty = Vec::new();
        for home in known.homes.iter().filter(has_own_types) {
            if !self.session.transaction.block.has_written(home.name())
                && !self.session.executor().has_rows(home).await?
            {
                let name = format!("{}.{}", home.name().schema, home.name().name);
                empty.push(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
            }
        }
        Ok(format!("{{{}}}", empty.join(",")))
    }
}
