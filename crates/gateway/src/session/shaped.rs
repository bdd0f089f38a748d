//! A statement on a store table whose text differs from others in its constants and comments only.

use std::sync::Arc;

use flywheel_execute::StoreStatement;
use flywheel_statement::{Analysis, TextShape};

use super::{Failure, Outcome, Session};

impl Session {
    /// The plan of a text that a client parses: that of its shape, which comes with it, or its own.
    /// `types`: of its parameters, as the client gives them.
    pub(super) async fn plan_parsed(
        &mut self,
        analysis: &Arc<Analysis>,
        types: &[u32],
    ) -> Outcome<(Arc<StoreStatement>, Option<TextShape>)> {
        let Some(shape) = self.shared.analyses.shape_of_parsed(analysis, types) else {
            return Ok((self.executor().prepare_parsed(analysis, types).await?, None));
        };
        if let Some(planned) = self.executor().prepare_shaped(analysis, types, &shape).await? {
            return Ok((planned, Some(shape)));
        }
        let own = self.executor().prepare_parsed(analysis, types).await?;
        self.executor().learn_shape_of(&own, &shape).await?;
        Ok((own, None))
    }

    /// Runs a Query by the plan of its shape, or else by its text, and looks then whether its shape's
    /// plan does.
    pub(super) async fn run_shaped_or_whole(
        &mut self,
        shape: &TextShape,
        text: &str,
    ) -> Outcome<()> {
        if !self.transaction.has_failed() && self.run_shaped(shape).await? {
            return Ok(());
        }
        let whole = self.shared.analyses.of(text);
        self.run_here(&whole).await?;
        // Its plan is kept by the statement, without a semicolon or comments around it.
        let single = self.shared.analyses.of(whole.statement_text(0));
        Box::pin(self.executor().learn_shape(&single, shape)).await
    }

    /// Whether the plan of its shape has answered it.
    async fn run_shaped(&mut self, shape: &TextShape) -> Outcome<bool> {
        self.client.send_answered().await?;
        self.settings.reports.begin_text();
        let answered = self.answer_shaped(shape).await;
        let names = self.settings.reports.end_text();
        self.settings.tell(names, self.upstream.lease(), &mut self.client.out);
        self.report_settings();
        match answered {
            Err(Failure::Statement(error)) => {
                self.tell_error(&error).await.map_err(Failure::Session)?;
                self.undo_settings();
                Ok(true)
            }
            answered => answered,
        }
    }

    async fn answer_shaped(&mut self, shape: &TextShape) -> Outcome<bool> {
        self.upstream.replicas.note_write();
        let Some((statement, mut answer)) = Box::pin(self.executor().answer_shaped(shape)).await?
        else {
            return Ok(false);
        };
        self.note_run(&shape.analysis);
        answer.describe(statement.fields(), &mut self.client.out);
        self.send_rows(&mut answer, 0).await?;
        Ok(true)
    }
}
