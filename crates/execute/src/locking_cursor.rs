//! Which store tables' rows a cursor locks.

use flywheel_plan::{General, Plan};
use flywheel_sql::{Parsed, Verb};
use flywheel_types::TableName;

use super::StoreStatement;
use crate::host::{Executor, Host};

impl StoreStatement {
    /// The store tables whose rows it locks.
    pub fn locked_tables(&self) -> Vec<TableName> {
        match &self.kind {
            super::Kind::Planned { parsed, plan } => locked(parsed, plan),
            super::Kind::Execute { statement, .. } => statement.locked_tables(),
            _ => Vec::new(),
        }
    }
}

impl<H: Host> Executor<'_, H> {
    /// Notes the cursor that a DECLARE has opened.
    pub(super) fn note_declared(
        &mut self,
        statement: &StoreStatement,
        parsed: &Parsed,
        plan: &Plan,
    ) {
        if !self.block().is_open() {
            return;
        }
        let analysis = self.stores().analyses.of(&statement.text);
        let [declare] = &analysis.statements[..] else { return };
        if let (Verb::Declare, Some(name)) = (declare.verb, declare.tokens.get(1)) {
            let name = name.identifier(&analysis.text);
            match locked(parsed, plan) {
                tables if tables.is_empty() => self.block_mut().cursors.forget(&name),
                tables => self.block_mut().cursors.open(&name, tables),
            }
        }
    }
}

fn locked(parsed: &Parsed, plan: &Plan) -> Vec<TableName> {
    let General::Read { fetches, .. } = &plan.general else {
        return Vec::new();
    };
    let locked = fetches.iter().filter(|fetch| parsed.locks(fetch.relation));
    locked.map(|fetch| fetch.home.name().clone()).collect()
}
