//! Fetching the rows that a plan names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use flywheel_plan::{
    Access, Computed, Fetch, FetchAccess, Home, KeySource, Parameters, ResolvedAccess, RowArray,
    explain, joined_access,
};
use flywheel_postgres::{Portal, Rows};
use flywheel_sql::Constant;
use flywheel_store::StoreTable;
use flywheel_types::{Key, Printed, Row, Scalar, Table, TypeInfo, Value, binary};

use super::{Arguments, StoreStatement};
use crate::error::too_many_rows;
use crate::failure::Outcome;
use crate::host::{Executor, Host};
use flywheel_statement::long::{MANY, is_long, on_text};
use tokio::task::yield_now;

/// Rows by the place of the statement that they stand for.
pub(super) type Fetched = HashMap<usize, Vec<Row>>;

/// About as many bytes of text as a constant has.
const CONSTANT: usize = 8;

/// What an access means with these parameters. A long list of keys is read on a thread of its own.
pub(super) async fn resolved(
    access: &Access,
    home: &Arc<Home>,
    parameters: Parameters<'_>,
) -> Option<ResolvedAccess> {
    let of_values: usize = parameters.values.iter().flatten().map(Bytes::len).sum();
    let bytes = of_values + access.constants() * CONSTANT;
    if !is_long(bytes) {
        return access.resolve(&home.table, &parameters);
    }
    let (access, home) = (access.clone(), home.clone());
    let (types, formats) = (parameters.types.to_vec(), parameters.formats.to_vec());
    let values = parameters.values.to_vec();
    let computed = parameters.computed.map(<[_]>::to_vec);
    let expressions = parameters.expressions.to_vec();
    let resolve = move || {
        let (types, formats, values) = (&types[..], &formats[..], &values[..]);
        let (computed, expressions) = (computed.as_deref(), &expressions[..]);
        let parameters = Parameters { types, formats, values, computed, expressions };
        access.resolve(&home.table, &parameters)
    };
    on_text(bytes, resolve).await
}

/// The values of the parameters, in their order. The rows go as their text is made: they may be
/// many, and aren't needed twice.
pub(super) async fn arrays(fetches: &[Fetch], fetched: &mut Fetched) -> Vec<Bytes> {
    let mut arrays = Vec::with_capacity(fetches.len());
    for fetch in fetches {
        let rows = fetched.remove(&fetch.relation).unwrap_or_default();
        let mut array = RowArray::default();
        for (place, row) in rows.into_iter().enumerate() {
            if place > 0 && place % MANY == 0 {
                yield_now().await;
            }
            array.push(&row);
        }
        arrays.push(array.finish().into());
    }
    arrays
}

impl<H: Host> Executor<'_, H> {
    /// The rows of all `fetches`, each after those that it takes its keys from.
    pub(super) async fn fetch_all(
        &mut self,
        fetches: &[&Fetch],
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Fetched> {
        let mut fetched = Fetched::new();
        let mut open = fetches.to_vec();
        while !open.is_empty() {
            let is_ready = |fetch: &&Fetch| match &fetch.access {
                FetchAccess::Joined { source: KeySource::Fetched { relation, .. }, .. } => {
                    fetched.contains_key(relation)
                }
                _ => true,
            };
            // A plan has no circles.
            let fetch = open.remove(open.iter().position(is_ready).unwrap_or_default());
            let access = match &fetch.access {
                FetchAccess::Joined { index, source: KeySource::Fetched { relation, column } } => {
                    let source = fetches
                        .iter()
                        .find(|source| source.relation == *relation)
                        .map(|source| &*source.home.table.table);
                    keys_of(&fetched, (*relation, *column), source, (&fetch.home.table, *index))
                }
                FetchAccess::Joined { index, source: KeySource::Postgres { sql, ty } } => {
                    self.semi_join((&fetch.home, *index), (sql, ty), statement, arguments).await?
                }
                FetchAccess::Direct(access) => {
                    self.direct(access, &fetch.home, statement, arguments).await?
                }
            };
            let rows = self.read_access(&fetch.home, &access).await?;
            fetched.insert(fetch.relation, rows);
        }
        Ok(fetched)
    }

    /// The rows that a table's own conditions leave.
    async fn direct(
        &mut self,
        access: &Access,
        home: &Arc<Home>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<ResolvedAccess> {
        let table = &home.table;
        let parameters = arguments.parameters(statement.parameters());
        if let Some(resolved) = resolved(access, home, parameters).await {
            return Ok(resolved);
        }
        let unread: Vec<_> = access
            .equalities(table)
            .into_iter()
            .filter(|(constant, ty)| {
                parameters.compares_exactly(constant, ty)
                    && parameters.resolve(constant, ty).is_none()
            })
            .collect();
        let computed = self.compute(&unread, statement, arguments).await?;
        let parameters = Parameters { computed: Some(&computed), ..parameters };
        Ok(resolved(access, home, parameters).await.unwrap_or(ResolvedAccess::All))
    }

    /// Constants as PostgreSQL reads them: `'yesterday'` as a timestamptz, a jsonb parameter.
    async fn compute(
        &mut self,
        constants: &[(&Constant, &TypeInfo)],
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Vec<Computed>> {
        if constants.is_empty() {
            return Ok(Vec::new());
        }
        let casts: Vec<_> = constants.iter().map(|(constant, ty)| cast(constant, ty)).collect();
        let rows =
            self.run_own(&format!("SELECT {}", casts.join(", ")), statement, arguments).await?;
        let row = rows.rows.first().cloned().unwrap_or_default();
        let value = |(column, (constant, ty)): (Option<bytes::Bytes>, &(&Constant, &TypeInfo))| {
            let value = column.map_or(Some(Value::Null), |bytes| binary::decode(ty, &bytes))?;
            Some(Computed { constant: (*constant).clone(), type_oid: ty.oid, value })
        };
        Ok(row.into_iter().zip(constants).filter_map(value).collect())
    }

    /// The keys that the other side of a join has.
    async fn semi_join(
        &mut self,
        (home, index): (&Arc<Home>, Option<usize>),
        (sql, source): (&str, &TypeInfo),
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<ResolvedAccess> {
        let limit = self.stores().max_fetch_rows;
        let partition = home.table.table.columns[home.table.order_columns(index)[0]].ty.clone();
        let rows = self
            .run_own(&format!("{sql} LIMIT {}", limit.saturating_add(1)), statement, arguments)
            .await?;
        if rows.rows.len() > limit {
            // The table itself may have fewer rows.
            if home.table.allow_scan {
                return Ok(ResolvedAccess::All);
            }
            return Err(too_many_rows(home, limit).into());
        }
        let values: Option<Vec<Value>> = rows
            .rows
            .iter()
            .filter_map(|row| row.first().cloned().flatten())
            .map(|bytes| binary::decode(source, &bytes))
            .collect();
        // An integer outside the key's type equals none of its values.
        let fits = |value: &Value| flywheel_types::cast(value.clone(), source, &partition);
        Ok(match values {
            Some(values) => {
                joined_access(&home.table, index, values.iter().filter_map(fits).collect())
            }
            None => ResolvedAccess::All,
        })
    }

    /// A query of Flywheel's own with the statement's parameters; its rows in binary format.
    async fn run_own(
        &mut self,
        sql: &str,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Rows> {
        let portal = Portal {
            name: "",
            sql,
            types: statement.parameters(),
            formats: arguments.formats,
            values: arguments.values,
            result_formats: &[1],
        };
        let lease = self.server().await?;
        match lease.run(&portal).await {
            Ok(rows) => Ok(rows),
            Err(error) => Err(self.server_failed(&error)),
        }
    }
}

/// The keys that the rows of another store table name, in the key's own form: `1.5` is `1.50` where
/// the key is numeric(6,2).
fn keys_of(
    fetched: &Fetched,
    (relation, column): (usize, usize),
    source: Option<&Table>,
    (table, index): (&StoreTable, Option<usize>),
) -> ResolvedAccess {
    let Some(source) = source.map(|source| &source.columns[column].ty) else {
        return ResolvedAccess::All;
    };
    let key = &table.table.columns[table.order_columns(index)[0]].ty;
    let rows = fetched.get(&relation).into_iter().flatten();
    // What has no form in the key's type equals none of its values.
    let values = rows.filter_map(|row| flywheel_types::cast(row[column].clone(), source, key));
    joined_access(table, index, values.collect())
}

/// A constant as a value of the type. A `cidr` is compared as an `inet`, so that what isn't a
/// network is no error. A number outside the type equals none of its values, as NULL doesn't.
fn cast(constant: &Constant, ty: &TypeInfo) -> String {
    let constant = explain::constant(constant);
    let (least, most) = match ty.scalar {
        Scalar::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Scalar::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Scalar::Int8 => (i64::MIN, i64::MAX),
        Scalar::Printed(Printed::Cidr) => {
            return format!("({constant})::pg_catalog.inet::pg_catalog.cidr");
        }
        Scalar::Numeric(Some((precision, scale))) => {
            let digits = i32::from(precision) - i32::from(scale);
            return format!(
                "CASE WHEN ({constant})::pg_catalog.numeric = 'NaN' \
                 OR pg_catalog.abs(pg_catalog.round(({constant})::pg_catalog.numeric, {scale})) < 1e{digits} \
                 THEN ({constant})::{} END",
                ty.name
            );
        }
        _ => return format!("({constant})::{}", ty.name),
    };
    format!(
        "CASE WHEN ({constant})::pg_catalog.numeric BETWEEN {least} AND {most} THEN ({constant})::{} END",
        ty.name
    )
}

/// The positions of the key's columns are the same in every row: keys of rows, for comparing what
/// was with what is.
pub(super) fn by_key(home: &Home, rows: Vec<Row>) -> HashMap<Key, Row> {
    rows.into_iter().map(|row| (home.table.table.key_of(&row), row)).collect()
}
