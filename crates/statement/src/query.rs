//! The text of a simple Query: what is known of texts like it serves it, too.

use std::sync::Arc;

use flywheel_sql::{Literal, Template};

use crate::analysis::{Analyses, Analysis};
use crate::long::is_long;
use crate::text_shape::TextShape;

/// What the text of a simple Query is.
pub struct Query {
    /// Of the text, or of what it has in common with texts that differ in their constants only.
    pub analysis: Arc<Analysis>,
    /// The constants that make the analysed text this one. `None` where they alone don't.
    pub constants: Option<Vec<Literal>>,
    /// It has comments that the analysed text lacks.
    pub has_comments: bool,
    /// What it has in common with other texts on a store table.
    pub shape: Option<TextShape>,
}

impl Query {
    fn whole(analysis: Arc<Analysis>) -> Self {
        Self { analysis, constants: Some(Vec::new()), has_comments: false, shape: None }
    }
}

impl Analyses {
    /// What the text of a simple Query is: where nothing in it needs the gateway, what is known of
    /// texts like it is enough.
    pub fn of_query(&self, text: &str) -> Query {
        if let Some(known) = self.known(text) {
            return Query::whole(known);
        }
        let Some(template) = Template::of(text) else {
            return Query::whole(self.of(text));
        };
        let analysis = self.of(&template.text);
        let has_comments = template.had_comments;
        if analysis.is_plain && analysis.statements.len() == 1 {
            let constants = template.is_exact.then_some(template.constants);
            return Query { analysis, constants, has_comments, shape: None };
        }
        let Some(shape) = TextShape::of(&analysis, template, text, &[]) else {
            return Query::whole(self.of(text));
        };
        if !analysis.planning.is_proved() {
            return Query { shape: Some(shape), ..Query::whole(self.of(text)) };
        }
        let constants = Some(shape.constants.clone());
        Query { analysis, constants, has_comments, shape: Some(shape) }
    }

    /// What the text of a Parse has in common with others on a store table, if it does. `types`: of
    /// its parameters, as the client gives them.
    pub fn shape_of_parsed(&self, analysis: &Analysis, types: &[u32]) -> Option<TextShape> {
        if !analysis.concerns_any_store() {
            return None;
        }
        let template = Template::with_parameters(&analysis.text, types.len())?;
        if template.text == analysis.text {
            return None;
        }
        let like = self.of(&template.text);
        TextShape::of(&like, template, &analysis.text, types)
    }

    /// [`Self::of_query`], without keeping the thread from others meanwhile.
    pub async fn of_long_query(self: &Arc<Self>, text: &str) -> Query {
        if !is_long(text.len()) {
            return self.of_query(text);
        }
        Query::whole(self.of_long(text).await)
    }
}
