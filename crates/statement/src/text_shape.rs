//! What texts on store tables have in common that differ in their constants and comments only: one
//! plan serves them all.

use std::sync::Arc;

use bytes::Bytes;
use flywheel_sql::{Literal, SessionEffect, Template};

use crate::analysis::Analysis;

/// A text as a statement with parameters: its own, then those for its constants, and their values.
#[derive(Debug, Clone)]
pub struct TextShape {
    /// The statement with parameters.
    pub analysis: Arc<Analysis>,
    /// The values, as they stand in the text.
    pub constants: Vec<Literal>,
    /// How many parameters are the text's own.
    pub own_parameters: usize,
    /// The parameters' types: the text's own as its client gave them (0: it didn't), then the
    /// constants'.
    pub types: Vec<u32>,
    /// The values of the constants.
    pub values: Vec<Bytes>,
    /// PostgreSQL computes no more of the text in advance than of the statement.
    pub compares_names: bool,
}

impl TextShape {
    /// Of a text with parameters of these types. `None` where the text is its own shape, or nothing
    /// is to be gained.
    pub(crate) fn of(
        analysis: &Arc<Analysis>,
        template: Template,
        text: &str,
        own_types: &[u32],
    ) -> Option<Self> {
        let [statement] = &analysis.statements[..] else { return None };
        let is_candidate = template.is_exact
            && analysis.text != text
            && analysis.concerns_any_store()
            && statement.session == SessionEffect::None
            && !analysis.planning.is_given_up();
        if !is_candidate {
            return None;
        }
        let compares_names = template.compares_names();
        let value = |literal: &Literal| Bytes::copy_from_slice(literal.value(text).as_bytes());
        let mut types = own_types.to_vec();
        types.resize(template.own_parameters, 0);
        types.extend(template.constants.iter().map(|literal| literal.type_oid));
        Some(Self {
            analysis: analysis.clone(),
            own_parameters: template.own_parameters,
            types,
            values: template.constants.iter().map(value).collect(),
            constants: template.constants,
            compares_names,
        })
    }

    /// Of the parameters' types, those of the text's own parameters.
    pub fn own<'t>(&self, types: &'t [u32]) -> &'t [u32] {
        &types[..self.own_parameters.min(types.len())]
    }
}
