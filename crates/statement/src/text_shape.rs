//! What texts on store tables have in common that differ in their constants and comments only: one
//! plan serves them all.

use std::sync::Arc;

use bytes::Bytes;
use flywheel_sql::{Literal, SessionEffect, Template};

use crate::analysis::Analysis;

/// A text as a statement with parameters, and their values.
#[derive(Debug, Clone)]
pub struct TextShape {
    /// The statement with parameters.
    pub analysis: Arc<Analysis>,
    /// The values, as they stand in the text.
    pub constants: Vec<Literal>,
    /// The parameters' types.
    pub types: Vec<u32>,
    /// The values.
    pub values: Vec<Option<Bytes>>,
    /// PostgreSQL computes no more of the text in advance than of the statement.
    pub compares_names: bool,
}

impl TextShape {
    /// `None` where the text is its own shape, or nothing is to be gained.
    pub(crate) fn of(analysis: &Arc<Analysis>, template: Template, text: &str) -> Option<Self> {
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
        let value =
            |literal: &Literal| Some(Bytes::copy_from_slice(literal.value(text).as_bytes()));
        Some(Self {
            analysis: analysis.clone(),
            types: template.constants.iter().map(|literal| literal.type_oid).collect(),
            values: template.constants.iter().map(value).collect(),
            constants: template.constants,
            compares_names,
        })
    }
}
