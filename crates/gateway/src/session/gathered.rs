//! A batch that is one query.

use std::collections::HashMap;
use std::sync::Arc;

use flywheel_execute::PreparedStatement;
use flywheel_statement::Analyses;
use flywheel_wire::frontend::{Bind, Execute, Target};

use super::parts::{Batch, Message};

/// What the client has sent up to Sync, when it is one query.
pub(super) struct Gathered<'m> {
    /// The unnamed statement that it parses.
    pub(super) parsed: Option<Arc<PreparedStatement>>,
    pub(super) bind: &'m Bind,
    /// The statement that it binds, when it isn't the one that it parses.
    pub(super) bound: Option<Arc<PreparedStatement>>,
    pub(super) describes: Describes,
    /// How many rows Execute asks for; 0: all.
    pub(super) limit: i32,
}

/// What it has described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Describes {
    Nothing,
    Portal,
    /// The statement, between Parse and Bind.
    StatementBefore,
    /// The statement, behind Bind.
    StatementAfter,
}

impl<'m> Gathered<'m> {
    /// The gathered messages, when they are `[Parse ""] Bind "" Execute` of one statement, with one
    /// Describe at most.
    pub(super) fn of(
        batch: &'m Batch,
        statements: &HashMap<String, Arc<PreparedStatement>>,
        analyses: &Analyses,
    ) -> Option<Self> {
        let mut messages = batch.gathered();
        let mut parsed = None;
        if let [(_, Message::Parse(parse)), rest @ ..] = messages
            && parse.name.is_empty()
        {
            let analysis = analyses.of(&parse.query);
            parsed =
                Some(Arc::new(PreparedStatement::unnamed(analysis, parse.parameter_types.clone())));
            messages = rest;
        }
        let mut describes = Describes::Nothing;
        if let ([(_, Message::Describe(Target::Statement, name)), rest @ ..], Some(_)) =
            (messages, &parsed)
            && name.is_empty()
        {
            describes = Describes::StatementBefore;
            messages = rest;
        }
        let [(_, Message::Bind(bind)), rest @ ..] = messages else {
            return None;
        };
        let rest = match rest {
            [(_, Message::Describe(target, name)), rest @ ..]
                if name.is_empty() && describes == Describes::Nothing =>
            {
                describes = match target {
                    Target::Portal => Describes::Portal,
                    Target::Statement if parsed.is_some() => Describes::StatementAfter,
                    Target::Statement => return None,
                };
                rest
            }
            rest => rest,
        };
        let [(_, Message::Execute(Execute { portal, max_rows }))] = rest else {
            return None;
        };
        if !portal.is_empty()
            || !bind.portal.is_empty()
            || (parsed.is_some() && !bind.statement.is_empty())
        {
            return None;
        }
        let bound = match &parsed {
            Some(_) => None,
            None => Some(statements.get(&bind.statement)?.clone()),
        };
        Some(Self { parsed, bind, bound, describes, limit: (*max_rows).max(0) })
    }

    /// The statement that it executes.
    pub(super) fn statement(&self) -> Option<&Arc<PreparedStatement>> {
        self.parsed.as_ref().or(self.bound.as_ref())
    }
}
