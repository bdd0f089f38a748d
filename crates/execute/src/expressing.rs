//! PostgreSQL computes the expressions that need no row before the rows of their statement are
//! read, so that they can be keys, and values of a statement that a store answers alone.
//!
//! One that can't be computed is no error yet: PostgreSQL might never have come to it, as in
//! `WHERE false AND id = 1 / 0`. The statement goes on without its value.

use bytes::Bytes;
use flywheel_plan::{Expressed, Plan};
use flywheel_postgres::{Portal, Rows, is_about_statement};
use flywheel_sql::Expression;
use flywheel_types::{Scalar, TypeInfo, Value, binary};
use flywheel_wire::backend::TransactionStatus;
use flywheel_wire::reply::Field;

use super::expressions::{Expressions, query};
use super::rewritten::Rewritten;
use super::{Arguments, StoreStatement};
use crate::apart;
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// How many a statement may have. With more, the rows are PostgreSQL's to compute.
const MOST: usize = 64;

impl Expressions {
    /// The expressions of a plan, with the types that PostgreSQL finds for them. `None`: it has
    /// none, or they can't be computed by themselves.
    pub(super) async fn of<H: Host>(
        executor: &mut Executor<'_, H>,
        plan: &Plan,
        types: &[u32],
        may_be_kept: bool,
    ) -> Outcome<Option<Self>> {
        let (mut expressions, fetched) = (plan.native_expressions(), plan.fetch_expressions());
        let are_in_fetches = !fetched.is_empty();
        expressions.extend(fetched);
        expressions.sort_by_key(|expression| expression.start);
        expressions.dedup();
        if expressions.is_empty() || expressions.len() > MOST {
            return Ok(None);
        }
        let query = query(&expressions);
        let Some(described) = executor.try_describe(&query, types).await? else { return Ok(None) };
        let fields = described.fields.unwrap_or_default();
        let ty = |(expression, field): (&&Expression, &Field)| {
            ((*expression).clone(), TypeInfo::new(field.type_oid, field.typmod, ""))
        };
        let of = expressions.iter().zip(&fields).map(ty).collect();
        let query = Rewritten::made(query).kept_if(may_be_kept);
        Ok(Some(Self { query, of, are_in_fetches }))
    }

    /// The values of a statement's expressions; none where one can't be computed.
    pub(super) async fn values<H: Host>(
        executor: &mut Executor<'_, H>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Vec<Expressed>> {
        let Some(expressions) = &statement.expressions else { return Ok(Vec::new()) };
        if let guard @ Some(_) = executor.begin_guard(&expressions.query.text).await? {
            // What may do more than compute runs once, where it stands.
            executor.end_guard(guard, Ok(())).await?;
            return Ok(Vec::new());
        }
        let Some(rows) = expressions.ask(executor, statement, arguments).await? else {
            return Ok(Vec::new());
        };
        let row = rows.rows.first().map(Vec::as_slice).unwrap_or_default();
        if row.last().cloned().flatten() != Some(Bytes::from_static(&[1])) {
            return Ok(Vec::new());
        }
        let value = |((expression, ty), bytes): (&(Expression, TypeInfo), &Option<Bytes>)| {
            let value = match bytes {
                None => Value::Null,
                Some(_) if ty.scalar == Scalar::Other => return None,
                Some(bytes) => binary::decode(ty, bytes)?,
            };
            Some(Expressed { expression: expression.clone(), ty: ty.clone(), value })
        };
        Ok(expressions.of.iter().zip(row).filter_map(value).collect())
    }

    /// `None` where PostgreSQL finds something wrong with one, or with its name: the block goes on
    /// as if it hadn't been asked.
    async fn ask<H: Host>(
        &self,
        executor: &mut Executor<'_, H>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Rows>> {
        let query = &self.query;
        let name = executor.kept_name(query, statement).unwrap_or_default();
        let in_block = executor.status() == TransactionStatus::InTransaction;
        let lease = executor.server().await?;
        if !name.is_empty() {
            lease.renew_prepared(&name, query.since, in_block);
        }
        let of_type = |(_, ty): &(Expression, TypeInfo)| i16::from(ty.scalar != Scalar::Other);
        let result_formats: Vec<i16> = self.of.iter().map(of_type).chain([1]).collect();
        let asked = Portal {
            name: &name,
            sql: &query.text,
            types: statement.parameters(),
            formats: arguments.formats,
            values: arguments.values,
            result_formats: &result_formats,
        };
        let plain = |sql| Portal { sql, ..Portal::default() };
        let portals = match in_block {
            true => vec![plain(apart::BEGIN), asked, plain(apart::END)],
            false => vec![asked],
        };
        let answered = executor.portals_on_server(&portals).await;
        executor.lose_unnamed();
        match answered {
            Ok(mut results) => Ok((results.len() == portals.len())
                .then(|| results.swap_remove(usize::from(in_block)))),
            Err(Failure::Statement(error)) => {
                if let Some(lease) = executor.held_server().filter(|_| is_about_statement(&error)) {
                    lease.outdate_prepared(&name);
                }
                if in_block {
                    executor.on_server(apart::UNDO).await?;
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}
