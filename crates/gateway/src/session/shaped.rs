//! A statement on a store table whose text differs from others in its constants and comments only.

use std::sync::Arc;

use flywheel_execute::StoreStatement;
use flywheel_statement::{Analysis, TextShape};

use super::{Failure, Outcome, Session};

/// Statements that a session runs by the plan of their shape.
pub(super) struct Shaped<'s> {
    pub(super) session: &'s mut Session,
}

impl Shaped<'_> {
    /// The plan of a text that a client parses: that of its shape, which comes with it, or its own.
    /// `types`: of its parameters, as the client gives them.
    pub(super) async fn plan(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
    ) -> Outcome<(Arc<StoreStatement>, Option<TextShape>)> {
        let Some(shape) = self.session.shared.analyses.shape_of_parsed(analysis, types) else {
            return Ok((self.session.executor().prepare_parsed(analysis, types).await?, None));
        };
        if let Some(planned) =
            self.session.executor().prepare_shaped(analysis, types, &shape).await?
        {
            return Ok((planned, Some(shape)));
        }
        let own = self.session.executor().prepare_parsed(analysis, types).await?;
        self.session.executor().learn_shape_of(&own, &shape).await?;
        Ok((own, None))
    }

    /// Runs a Query by the plan of its shape, or else by its text, and looks then whether its
    /// shape's plan does.
    pub(super) async fn run_or_whole(&mut self, shape: &TextShape, text: &str) -> Outcome<()> {
        if !self.session.transaction.has_failed() && self.run(shape).await? {
            return Ok(());
        }
        let whole = self.session.shared.analyses.of(text);
        self.session.queries().run_here(&whole).await?;
        // Its plan is kept by the statement, without a semicolon or comments around it.
        let single = self.session.shared.analyses.of(whole.statement_text(0));
        Box::pin(self.session.executor().learn_shape(&single, shape)).await
    }

    /// Whether the plan of its shape has answered it.
    async fn run(&mut self, shape: &TextShape) -> Outcome<bool> {
        self.session.client.send_answered().await?;
        self.session.settings.reports.begin_text();
        let answered = self.answer(shape).await;
        let names = self.session.settings.reports.end_text();
        self.session.settings.tell(
            names,
            self.session.upstream.lease(),
            &mut self.session.client.out,
        );
        self.session.report_settings();
        match answered {
            Err(Failure::Statement(error)) => {
                self.session.errors().tell(&error).await.map_err(Failure::Session)?;
                self.session.control().undo_settings();
                Ok(true)
            }
            answered => answered,
        }
    }

    async fn answer(&mut self, shape: &TextShape) -> Outcome<bool> {
        self.session.upstream.replicas.note_write();
        let Some((statement, mut answer)) =
            Box::pin(self.session.executor().answer_shaped(shape)).await?
        else {
            return Ok(false);
        };
        self.session.learner().note_run(&shape.analysis);
        answer.describe(statement.fields(), &mut self.session.client.out);
        self.session.own_answers().send_rows(&mut answer, 0).await?;
        Ok(true)
    }
}
