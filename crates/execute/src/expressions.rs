//! Expressions that need no row, such as `lower($1)`: PostgreSQL computes them before the rows of
//! their statement are read, so that they can be keys, and values of a statement that a store
//! answers alone.
//!
//! One that can't be computed is no error yet: PostgreSQL might never have come to it, as in
//! `WHERE false AND id = 1 / 0`. The statement goes on without its value.

use bytes::Bytes;
use flywheel_plan::{Expressed, Plan};
use flywheel_postgres::{Portal, Rows, is_about_statement};
use flywheel_sql::Expression;
use flywheel_types::{Scalar, TypeInfo, Value, binary};
use flywheel_wire::backend::TransactionStatus;

use super::rewritten::Rewritten;
use super::{Answer, Arguments, StoreStatement};
use crate::failure::{Failure, Outcome};
use crate::host::{Executor, Host};

/// How many a statement may have. With more, the rows are PostgreSQL's to compute.
const MOST: usize = 64;

/// The expressions of a statement.
#[derive(Debug)]
pub(crate) struct Expressions {
    query: Rewritten,
    of: Vec<(Expression, TypeInfo)>,
    /// Some of them say which rows are fetched for PostgreSQL.
    are_in_fetches: bool,
}

impl Expressions {
    /// Whether one of them is to be the same for the store and for PostgreSQL, which computes it
    /// again.
    pub(super) fn are_in_fetches(&self) -> bool {
        self.are_in_fetches
    }
}

/// The query of their values. Its last column says whether they are what they seem to be: none of
/// the functions may be a volatile one of the same name.
fn query(expressions: &[&Expression]) -> String {
    let values = expressions.iter().map(|expression| format!("({}), ", expression.sql));
    let names = |of: fn(&Expression) -> &std::collections::BTreeSet<String>| {
        let names = expressions.iter().flat_map(|expression| of(expression));
        names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    };
    let (functions, operators) =
        (names(|expression| &expression.functions), names(|expression| &expression.operators));
    format!(
        "SELECT {}NOT EXISTS (SELECT FROM pg_catalog.pg_proc p \
         WHERE p.proname = ANY (ARRAY[{functions}]::pg_catalog.name[]) AND p.provolatile = 'v' \
         AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator o \
         JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode \
         WHERE o.oprname = ANY (ARRAY[{operators}]::pg_catalog.name[]) AND p.provolatile = 'v' \
         AND o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace)",
        values.collect::<String>()
    )
}

impl<H: Host> Executor<'_, H> {
    /// The expressions of a plan, with the types that PostgreSQL finds for them. `None`: it has
    /// none, or they can't be computed by themselves.
    pub(super) async fn expressions_of(
        &mut self,
        plan: &Plan,
        types: &[u32],
        may_be_kept: bool,
    ) -> Outcome<Option<Expressions>> {
        let (mut expressions, fetched) = (plan.native_expressions(), plan.fetch_expressions());
        let are_in_fetches = !fetched.is_empty();
        expressions.extend(fetched);
        expressions.sort_by_key(|expression| expression.start);
        expressions.dedup();
        if expressions.is_empty() || expressions.len() > MOST {
            return Ok(None);
        }
        let query = query(&expressions);
        let Some(described) = self.try_describe(&query, types).await? else { return Ok(None) };
        let fields = described.fields.unwrap_or_default();
        let ty = |(expression, field): (&&Expression, &flywheel_wire::reply::Field)| {
            ((*expression).clone(), TypeInfo::new(field.type_oid, field.typmod, ""))
        };
        let of = expressions.iter().zip(&fields).map(ty).collect();
        let query = Rewritten::made(query).kept_if(may_be_kept);
        Ok(Some(Expressions { query, of, are_in_fetches }))
    }

    /// The values of a statement's expressions; none where one can't be computed.
    pub(super) async fn express(
        &mut self,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Vec<Expressed>> {
        let Some(expressions) = &statement.expressions else { return Ok(Vec::new()) };
        if let guard @ Some(_) = self.begin_guard(&expressions.query.text).await? {
            // What may do more than compute runs once, where it stands.
            self.end_guard(guard, Ok(())).await?;
            return Ok(Vec::new());
        }
        let Some(rows) = self.ask_expressions(expressions, statement, arguments).await? else {
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
    async fn ask_expressions(
        &mut self,
        expressions: &Expressions,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Rows>> {
        let query = &expressions.query;
        let name = self.kept_name(query, statement).unwrap_or_default();
        let in_block = self.status() == TransactionStatus::InTransaction;
        let lease = self.server().await?;
        if !name.is_empty() {
            lease.renew_prepared(&name, query.since, in_block);
        }
        let of_type = |(_, ty): &(Expression, TypeInfo)| i16::from(ty.scalar != Scalar::Other);
        let result_formats: Vec<i16> = expressions.of.iter().map(of_type).chain([1]).collect();
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
            true => vec![
                plain("SAVEPOINT flywheel_expressions"),
                asked,
                plain("RELEASE SAVEPOINT flywheel_expressions"),
            ],
            false => vec![asked],
        };
        let answered = self.portals_on_server(&portals).await;
        self.lose_unnamed();
        match answered {
            Ok(mut results) => Ok((results.len() == portals.len())
                .then(|| results.swap_remove(usize::from(in_block)))),
            Err(Failure::Statement(error)) => {
                if let Some(lease) = self.held_server().filter(|_| is_about_statement(&error)) {
                    lease.outdate_prepared(&name);
                }
                if in_block {
                    self.on_server(
                        "ROLLBACK TO SAVEPOINT flywheel_expressions; \
                         RELEASE SAVEPOINT flywheel_expressions",
                    )
                    .await?;
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A plan that PostgreSQL has a part in. What says which rows are fetched is computed in one
    /// transaction with the statement, so that `now()` is the same moment in both.
    pub(super) async fn general_expressed(
        &mut self,
        statement: &StoreStatement,
        (parsed, plan): (&flywheel_sql::Parsed, &Plan),
        arguments: &Arguments<'_>,
    ) -> Outcome<Answer> {
        if !statement.expressions.as_ref().is_some_and(Expressions::are_in_fetches) {
            return self.general_as_defined(statement, parsed, plan, arguments).await;
        }
        let own_block = self.status() == TransactionStatus::Idle;
        if own_block {
            self.check_before(statement, arguments).await?;
            self.begin_implicit().await?;
        }
        let answered = match self.express(statement, arguments).await {
            Ok(expressed) => {
                let arguments = &Arguments { expressions: &expressed, ..*arguments };
                self.general_as_defined(statement, parsed, plan, arguments).await
            }
            Err(failure) => Err(failure),
        };
        if own_block { self.end_own_block(answered).await } else { answered }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_sql::{Constant, Fact, Shape, parse};

    use super::query;

    #[test]
    fn names_are_asked_about() {
        let parsed = parse("SELECT a FROM t WHERE id = lower($1 || 'x')").expect("a query");
        let Some(Shape::Select(select)) = parsed.shape else { panic!("a shape") };
        let [Fact::Compare(_, _, Constant::Expression(expression))] = &select.filter[..] else {
            panic!("{:?}", select.filter)
        };
        let query = query(&[expression]);
        assert!(query.starts_with("SELECT (lower($1 || 'x')), NOT EXISTS"), "{query}");
        assert!(query.contains("ARRAY['lower']") && query.contains("ARRAY['||']"), "{query}");
    }
}
