//! Statements that aren't proved to leave PostgreSQL's own tables of store tables alone
//! ([`flywheel_execute::twin`]): they run in a transaction in which PostgreSQL's counters are read
//! before and after, in the same writes, and fail when these have moved. The end of their answer is
//! kept back until that is known; rows go to the client as they come.

mod answer;
mod batch;
mod exchange;
mod own;
mod unguardable;

use std::sync::Arc;

use flywheel_execute::twin::Twins;
use flywheel_plan::Home;
use flywheel_sql::{SessionEffect, Verb};
use flywheel_statement::Analysis;
use flywheel_wire::PgError;

use super::{Outcome, Session};

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

impl Session {
    /// Whether a text has to be guarded.
    pub(crate) fn must_guard(&self, analysis: &Analysis) -> bool {
        let twins = &self.shared.stores.twins;
        if twins.is_empty() || self.transaction.has_failed() {
            return false;
        }
        if self.transaction.is_idle()
            && let [only] = &analysis.statements[..]
            && only.verb == Verb::Declare
            && only.session == SessionEffect::None
        {
            // Outside a block it is an error.
            return false;
        }
        if self.is_unread(analysis) {
            return true;
        }
        if !twins.is_harmless(analysis, self.guarding.sees_own_definitions(), || {
            self.settings.reads_escapes()
        }) {
            return true;
        }
        let goes_on = |word| {
            analysis.statements.iter().any(|statement| statement.has_keyword(&analysis.text, word))
        };
        self.guarding.in_block && (goes_on("fetch") || goes_on("move"))
    }

    /// Whether a text was proved by what was read for the message at hand.
    fn is_proved_now(&self, analysis: &Analysis) -> bool {
        let read = self.guarding.read.as_ref().filter(|_| !self.guarding.sees_own_definitions());
        !self.guarding.in_block
            && read.is_some_and(|reach| {
                Twins::is_harmless_by(reach, analysis, || self.settings.reads_escapes())
            })
    }

    /// A definition was made. `temporary`: of the session alone.
    pub(crate) fn note_definition(&mut self, temporary: bool) {
        if self.shared.stores.twins.is_empty() {
            return;
        }
        if temporary || self.is_pinned() {
            self.guarding.note_temporary();
        }
        if !temporary {
            self.guarding.note_definition();
            self.shared.stores.twins.outdate();
        }
    }

    /// The server is at rest: outside a transaction others see what was defined.
    pub(super) async fn settle_guards(&mut self) -> Outcome<()> {
        self.guarding.held.end();
        self.guarding.held.tell(&mut self.client.out);
        self.tell_settings();
        if self.transaction.is_idle() && self.guarding.end_block() {
            self.shared.stores.twins.outdate();
        }
        if self.guarding.is_temporary_unknown() && !self.transaction.has_failed() {
            if !self.is_pinned() || !self.has_server() {
                self.guarding.settle_temporary(false);
                return Ok(());
            }
            let asked = self.results_on_server(TEMPORARY_CODE).await?;
            let runs_code = asked.first().is_some_and(|rows| rows.text(0, 0) == "t");
            self.guarding.settle_temporary(runs_code);
        }
        Ok(())
    }

    /// Whether something may run at COMMIT that isn't proved to leave the twins alone.
    pub(super) fn waits_for_commit(&self) -> bool {
        self.guarding.in_block && self.transaction.is_well()
    }

    /// As an array: the tables whose types a statement may change, since they have no rows.
    async fn changing(&mut self, analysis: &Analysis) -> Outcome<String> {
        let defines = |statement: &flywheel_sql::Statement| statement.verb.is_definition();
        if !analysis.statements.iter().any(defines) {
            return Ok(NO_TABLE.into());
        }
        let known = self.shared.stores.catalogue.known();
        let has_own_types = |home: &&Arc<Home>| {
            let mut columns = home.table.table.columns.iter();
            columns.any(|column| column.ty.declared >= FIRST_NORMAL)
        };
        let mut empty = Vec::new();
        for home in known.homes.iter().filter(has_own_types) {
            if !self.transaction.block.has_written(home.name())
                && !self.executor().has_rows(home).await?
            {
                let name = format!("{}.{}", home.name().schema, home.name().name);
                empty.push(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
            }
        }
        Ok(format!("{{{}}}", empty.join(",")))
    }
}
