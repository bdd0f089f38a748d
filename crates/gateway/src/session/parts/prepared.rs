//! The client's prepared statements and portals.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_execute::{BoundPortal, PreparedStatement};
use flywheel_statement::{Analyses, Analysis};

use super::Message;

/// What the client has prepared and bound.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) statements: HashMap<String, Arc<PreparedStatement>>,
    pub(crate) portals: HashMap<String, BoundPortal>,
    /// How often statements have changed the session: its settings, its role, what it keeps.
    pub(crate) changes: u64,
}

impl Prepared {
    /// What the messages of a batch parse, bind and execute.
    pub(crate) fn analyses_of(&self, batch: &[Message], analyses: &Analyses) -> Vec<Arc<Analysis>> {
        batch.iter().filter_map(|message| self.analysis_of(message, analyses)).collect()
    }

    /// What one message parses, binds or executes.
    pub(crate) fn analysis_of(
        &self,
        message: &Message,
        analyses: &Analyses,
    ) -> Option<Arc<Analysis>> {
        match message {
            Message::Parse(parse) => Some(analyses.of(&parse.query)),
            Message::Bind(bind) => {
                let statement = self.statements.get(&bind.statement)?;
                Some(statement.analysis.clone())
            }
            Message::Execute(execute) => {
                let portal = self.portals.get(&execute.portal)?;
                Some(portal.statement.analysis.clone())
            }
            _ => None,
        }
    }
}
