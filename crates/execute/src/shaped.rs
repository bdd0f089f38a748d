//! Texts that differ in their constants only: once it is proved that a statement with parameters
//! means the same, its plan answers them, and PostgreSQL isn't asked about each.
//!
//! The first text of a shape takes the whole way. Then the shape is planned as a statement that a
//! client has prepared, and serves if it has the same columns, and if either its native plan has
//! each parameter as a value, or PostgreSQL reads it over fetched rows and can't compute anything
//! that is compared with a constant in advance.
//!
//! The constants stand where PostgreSQL decides on a parameter of their type as on themselves
//! ([`flywheel_sql::Template`]); a native plan has each of them as a value. A value that isn't read
//! exactly takes the whole way, by its text: PostgreSQL's error points into it.
//!
//! The text of a Parse may have parameters of its own, which stay what they are: the constants are
//! parameters behind them, bound by the gateway.
//!
//! A statement that a connection keeps is planned without its parameters' values at last. Of a
//! text's constants PostgreSQL computes in advance what it can, and leaves out what that makes
//! superfluous, errors too (`CASE WHEN one = 2 THEN 1/0 END`, where `one` is a constant of a view).
//! So a shape's statement is kept only where names are the columns of one table.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flywheel_plan::{General, Native, Plan};
use flywheel_sql::Parsed;
use flywheel_sql::lex::{Token, lex};
use flywheel_statement::{Analysis, TextShape};
use flywheel_types::{TypeInfo, text};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::reply::fields_digest;

use super::statement::{Serving, StatementKey};
use super::{Answer, Arguments, Kind, StoreStatement};
use crate::apart;
use crate::client_statement::PreparedStatement;
use crate::error::changed_result;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};
use crate::result::is_of_definition;
use crate::way::Way;

impl<H: Host> Executor<'_, H> {
    /// Answers a text of a known shape. `None`: nothing was done, and it takes the whole way.
    pub async fn answer_shaped(
        &mut self,
        shape: &TextShape,
    ) -> Outcome<Option<(Arc<StoreStatement>, Answer)>> {
        self.settle_definitions().await?;
        if !self.may_use_shapes() {
            return Ok(None);
        }
        let Some(statement) = self.planned_text(&shape.analysis, &shape.types) else {
            return Ok(None);
        };
        let (_, values) = Arguments::default().followed_by(&shape.values);
        let arguments = Arguments { values: &values, ..Arguments::default() };
        if statement.serving.get().is_some() {
            // What is known of texts may have been forgotten meanwhile.
            shape.analysis.planning.prove();
        }
        match statement.serving.get() {
            Some(Serving::Natively) => {
                let answer = self.answer_natively(&statement, &arguments).await?;
                Ok(answer.map(|answer| (statement, answer)))
            }
            Some(Serving::OverRows { .. }) if are_exact(&statement, shape) => {
                let answered = self.answer_anew(&shape.analysis, &statement, &arguments).await?;
                Ok(Some(answered))
            }
            _ => Ok(None),
        }
    }

    /// The plan of a parsed text's shape, where that answers it. `None`: it takes its own.
    ///
    /// What PostgreSQL would say of a constant it says when it reads the text: one that isn't read
    /// exactly leads to the text's own plan here, not when it runs.
    pub async fn prepare_shaped(
        &mut self,
        of: &Analysis,
        types: &[u32],
        shape: &TextShape,
    ) -> Outcome<Option<Arc<StoreStatement>>> {
        self.settle_definitions().await?;
        if !self.may_use_shapes() {
            return Ok(None);
        }
        let planned = self.planned_text(&shape.analysis, &shape.types);
        let Some(planned) = planned.filter(|it| it.serving.get().is_some()) else {
            return Ok(None);
        };
        if !are_exact(&planned, shape) {
            return Ok(None);
        }
        self.check_conforming(&of.text)?;
        if planned.reads_others() {
            // As in `prepare_parsed`.
            let described = self.describe(&of.text, types).await?;
            if described.fields != planned.described.fields
                || described.parameters != shape.own(planned.parameters())
            {
                planned.outdate();
                return Ok(None);
            }
        }
        Ok(Some(planned))
    }

    /// Answers a prepared statement by its plan, which may be that of its shape: with the text's
    /// constants behind the client's parameters, and by the text itself where that gives no answer.
    pub async fn answer_bound(
        &mut self,
        prepared: &PreparedStatement,
        store: &Arc<StoreStatement>,
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        let analysis = &prepared.analysis;
        let Some(shape) = &prepared.shape else {
            return Ok(self.answer_anew(analysis, store, arguments).await?.1);
        };
        let (formats, values) = arguments.followed_by(&shape.values);
        let with_constants = Arguments { formats: &formats, values: &values, ..*arguments };
        match store.serving.get() {
            Some(Serving::Natively) => {
                if let Some(answer) = self.answer_natively(store, &with_constants).await? {
                    return Ok(answer);
                }
            }
            Some(Serving::OverRows { .. }) => {
                let answered = self.answer_anew(&shape.analysis, store, &with_constants).await?;
                return Ok(answered.1);
            }
            None => {}
        }
        let own = Box::pin(self.prepare_store(analysis, prepared.parameters())).await?;
        if arguments.columns.is_some() && arguments.columns != own.fields().map(fields_digest) {
            return Err(changed_result().into());
        }
        Ok(self.answer_anew(analysis, &own, arguments).await?.1)
    }

    /// A text was answered by its own plan: looks whether that of its shape is the same.
    pub async fn learn_shape(&mut self, of: &Analysis, shape: &TextShape) -> Outcome<()> {
        match self.planned_text(of, &[]) {
            Some(own) => self.learn_shape_of(&own, shape).await,
            None => Ok(()),
        }
    }

    /// The same of a text that has this plan.
    pub async fn learn_shape_of(
        &mut self,
        own: &Arc<StoreStatement>,
        shape: &TextShape,
    ) -> Outcome<()> {
        if !self.may_use_shapes() || self.status() == TransactionStatus::Failed {
            return Ok(());
        }
        let known = self.planned_text(&shape.analysis, &shape.types);
        if known.is_some_and(|known| known.serving.get().is_some()) {
            return Ok(());
        }
        if own.serves_alike(shape).is_none() {
            shape.analysis.planning.note_failure();
            return Ok(());
        }
        let in_block = apart::begin(self).await?;
        let made = Box::pin(self.prepare_store(&shape.analysis, &shape.types)).await;
        let made = match apart::undo(self, in_block, made).await {
            Ok(made) => made,
            Err(end @ Failure::Session(_)) => return Err(end),
            Err(_) => {
                shape.analysis.planning.note_failure();
                return Ok(());
            }
        };
        match made.serves_in_place_of(own, shape) {
            Some(serving) => {
                let _ = made.serving.set(serving);
                shape.analysis.planning.prove();
            }
            None => shape.analysis.planning.note_failure(),
        }
        Ok(())
    }

    /// Not where names and definitions are the session's own.
    fn may_use_shapes(&self) -> bool {
        !self.is_pinned() && !self.block().definitions.are_own()
    }

    /// The plan that is kept for a text, if it still holds.
    fn planned_text(&self, analysis: &Analysis, types: &[u32]) -> Option<Arc<StoreStatement>> {
        let key = StatementKey {
            text: analysis.text.clone(),
            types: types.to_vec(),
            names: self.naming(),
        };
        let known = self.known_plan(&key)?;
        known.is_of(self.catalogue().version()).then(|| {
            known.freshness.is_old.store(true, Ordering::Relaxed);
            known
        })
    }

    /// Answers a statement by its store alone. `None`: nothing was done.
    async fn answer_natively(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let Kind::Planned { parsed, plan: plan @ Plan { native: Some((native, home)), .. } } =
            &statement.kind
        else {
            return Ok(None);
        };
        if self.locks_alone(parsed, plan) {
            return Ok(None);
        }
        let is_within = self.begin_answer(statement, arguments);
        let answered = async {
            self.learn_isolation().await?;
            let answered = self.native_as_defined(native, home, statement, arguments).await;
            if !matches!(answered, Ok(None)) {
                self.count(Way::Native);
            }
            let answer = answered?;
            self.confirm_snapshot().await?;
            Ok(answer)
        }
        .await;
        self.end_answer(is_within);
        let Err(Failure::Statement(error)) = &answered else { return answered };
        let is_at_rest = self.status() == TransactionStatus::Idle && !self.block().is_open();
        if self.take_lapse().is_some() || is_at_rest && is_of_definition(error) {
            // Of another definition: nothing was carried out.
            return Ok(None);
        }
        answered
    }
}

impl StoreStatement {
    /// How it would answer texts of its shape.
    fn serves_alike(&self, shape: &TextShape) -> Option<Serving> {
        let Kind::Planned { parsed, plan } = &self.kind else { return None };
        let is_read = matches!(plan.general, General::Read { in_tables: false, .. });
        match &plan.native {
            _ if !self.is_checked => None,
            Some((Native::Top(_), _)) => None,
            Some(_) => Some(Serving::Natively),
            None if is_read && shape.compares_names && parsed.locking.is_empty() => {
                Some(Serving::OverRows { is_kept: self.names_columns_only(parsed) })
            }
            None => None,
        }
    }

    /// Whether a name in it can't mean a constant, of a view, a subquery or a function in FROM: it
    /// reads one table, and has no query within it.
    fn names_columns_only(&self, parsed: &Parsed) -> bool {
        let begins_query = |token: &&Token| {
            ["select", "values", "table"].iter().any(|word| token.is_keyword(&self.text, word))
        };
        let queries = lex(&self.text).iter().filter(begins_query).count();
        queries == 1 && matches!(&parsed.relations[..], [relation] if relation.alone)
    }

    /// How this statement, whose parameters stand for the constants of `own`, answers texts like
    /// it.
    fn serves_in_place_of(&self, own: &Self, shape: &TextShape) -> Option<Serving> {
        let serving = self.serves_alike(shape)?;
        let types = self.parameters();
        let keeps_types = types.len() == shape.types.len()
            && types.iter().zip(&shape.types).all(|(ty, given)| *given == 0 || ty == given);
        let is_same = keeps_types
            && own.serves_alike(shape) == Some(serving)
            && own.parameters() == shape.own(types)
            && self.described.fields == own.described.fields
            && self.names == own.names
            && self.version == own.version;
        let has_all_values = match &self.kind {
            Kind::Planned { plan: Plan { native: Some((native, _)), .. }, .. } => {
                let values = native.parameters();
                (0..types.len()).all(|position| values.contains(&position))
            }
            _ => true,
        };
        (is_same && has_all_values).then_some(serving)
    }
}

/// Whether each of the constants is one of its parameter's type, so that PostgreSQL takes it.
fn are_exact(statement: &StoreStatement, shape: &TextShape) -> bool {
    let types = statement.parameters().iter().skip(shape.own_parameters);
    types.zip(&shape.values).all(|(&type_oid, value)| {
        std::str::from_utf8(value)
            .is_ok_and(|written| text::decode(&TypeInfo::new(type_oid, -1, ""), written).is_some())
    })
}
