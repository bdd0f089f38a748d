//! EXPLAIN ANALYZE of a statement on store tables: it is carried out, with the stores' operations
//! counted and timed, and with PostgreSQL's own EXPLAIN ANALYZE of what it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flywheel_plan::{General, explain};
use flywheel_sql::Explained;
use serde_json::{Value as Json, json};

use super::arguments::Analyzing;
use super::measured::{Measure, Measures};
use super::{Answer, Arguments, Kind, StoreStatement};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    /// Carries `inner` out; the answer tells how that went.
    pub(super) async fn explain_analyze(
        &mut self,
        statement: &StoreStatement,
        (inner, options): (&Arc<StoreStatement>, &Explained),
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let Kind::Planned { parsed, plan } = &inner.kind else {
            return Ok(Answer::default());
        };
        let began = Instant::now();
        let measures = Measures::default();
        let measured = plan.with_homes(&|home| measures.of(home));
        let analyzing = Analyzing {
            prefix: statement.text[..options.start].to_owned(),
            plan: Mutex::default(),
        };
        let inner_arguments = Arguments {
            result_formats: &[],
            analyzing: Some(&analyzing),
            columns: None,
            ..*arguments
        };
        Box::pin(self.planned(inner, parsed, &measured, &inner_arguments)).await?;
        let waits = self.block().is_open() && matches!(plan.general, General::Write { .. });
        let told = Told {
            plan: explain::lines(plan, (&inner.text, parsed), self.stores().max_fetch_rows),
            operations: measures.take(),
            waits,
            postgres: analyzing.plan.into_inner().unwrap_or_else(PoisonError::into_inner),
            took: began.elapsed(),
            options,
        };
        let mut answer = Answer::tagged("EXPLAIN");
        if options.format == "json" {
            answer.push_text(&told.json());
            return Ok(answer);
        }
        let mut lines = told.text();
        let analysis = self.stores().analyses.of(&statement.text);
        lines.extend(self.explain_cache(&analysis, 0));
        lines.iter().for_each(|line| answer.push_text(line));
        Ok(answer)
    }
}

/// How a statement went.
struct Told<'a> {
    plan: Vec<String>,
    operations: Vec<Measure>,
    /// What it has written waits for COMMIT.
    waits: bool,
    /// PostgreSQL's own plan, when it had a part.
    postgres: Vec<String>,
    took: Duration,
    options: &'a Explained,
}

impl Told<'_> {
    fn text(&self) -> Vec<String> {
        let mut lines = self.plan.clone();
        lines.push("Store operations:".into());
        for measure in &self.operations {
            let time = if self.options.timing {
                format!("time={:.3} ", milliseconds(measure.took))
            } else {
                String::new()
            };
            let (operation, table) = (&measure.operation, &measure.table);
            lines.push(format!(
                "  {operation} on {table} (actual {time}rows={} operations={})",
                measure.rows, measure.count
            ));
        }
        if self.operations.is_empty() {
            lines.push("  none".into());
        }
        if self.waits {
            lines.push("  What is written waits for COMMIT".into());
        }
        if !self.postgres.is_empty() {
            lines.push("PostgreSQL:".into());
            lines.extend(self.postgres.iter().map(|line| format!("  {line}")));
        }
        if self.options.summary != Some(false) {
            lines.push(format!("Total Time: {:.3} ms", milliseconds(self.took)));
        }
        lines
    }

    fn json(&self) -> String {
        let operation = |measure: &Measure| {
            let mut told = json!({
                "Operation": measure.operation, "Relation Name": measure.table.name, "Schema": measure.table.schema,
                "Actual Rows": measure.rows, "Actual Operations": measure.count,
            });
            if self.options.timing {
                told["Actual Total Time"] = json!(milliseconds(measure.took));
            }
            told
        };
        let mut told = json!({
            "Flywheel": self.plan,
            "Store Operations": self.operations.iter().map(operation).collect::<Vec<_>>(),
            "Waits For Commit": self.waits,
        });
        if let Ok(plan) = serde_json::from_str::<Json>(&self.postgres.join("\n")) {
            told["PostgreSQL"] = plan;
        }
        if self.options.summary != Some(false) {
            told["Total Time"] = json!(milliseconds(self.took));
        }
        json!([told]).to_string()
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
