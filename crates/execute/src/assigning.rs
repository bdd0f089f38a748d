//! UPDATEs that stage nothing: PostgreSQL computes the new values in a query, over the rows as a
//! parameter. Staging leaves a dead row in PostgreSQL for each that it stages, past which the next
//! statement reads; a query leaves nothing, and is one round trip.
//!
//! An assignment casts a value to its column's type, and checks it. Here a value is cast where
//! [`flywheel_types::cast`] says what PostgreSQL's assignment cast gives. Everything else is found
//! to be so before anything is written, and the rows are staged after all.

use bytes::Bytes;
use flywheel_plan::{NewValuesQuery, Plan, Target, rows_as_array};
use flywheel_postgres::Portal;
use flywheel_sql::Parsed;
use flywheel_types::{Key, Row, Scalar, Table, TypeInfo, Value, binary, ordered};
use flywheel_wire::{Frame, reply};

use super::difference::{Difference, changed};
use super::new_values::NewValues;
use super::rewritten::Rewritten;
use super::staging::Images;
use super::{Answer, Arguments, StoreStatement};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

/// A row's columns, NULL where there are no bytes.
type Columns = Vec<Option<Bytes>>;

impl NewValues {
    /// The query for a statement's new values; `None` where its rows must be staged.
    pub(super) async fn of<H: Host>(
        executor: &mut Executor<'_, H>,
        (text, parsed): (&str, &Parsed),
        plan: &Plan,
        (types, may_be_kept): (&[u32], bool),
    ) -> Outcome<Option<Self>> {
        let made = match &plan.native {
            None => NewValuesQuery::of(text, parsed, &plan.general, types.len()),
            Some(_) => None,
        };
        let Some(made) = made else { return Ok(None) };
        if !executor.stores().analyses.of(&made.sql).reads_as_repeatable() {
            return Ok(None);
        }
        let Some(described) = executor.try_describe(&made.sql, types).await? else {
            return Ok(None);
        };
        let fields = described.fields.unwrap_or_default();
        let key = fields.len().saturating_sub(made.columns.len());
        let own = fields[key..].iter().map(|field| TypeInfo::new(field.type_oid, field.typmod, ""));
        let columns: Vec<_> = made.columns.iter().copied().zip(own).collect();
        if columns.iter().any(|(_, own)| own.scalar == Scalar::Other) {
            return Ok(None);
        }
        let query = Rewritten::made(made.sql).kept_if(may_be_kept);
        Ok(Some(Self { query, columns, constants: made.constants }))
    }

    /// What an UPDATE answers, and what it makes of the rows. `None`: they must be staged, and
    /// nothing was done.
    pub(super) async fn compute<H: Host>(
        executor: &mut Executor<'_, H>,
        statement: &StoreStatement,
        (target, before): (&Target, &Images),
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<(Answer, Vec<Difference>)>> {
        let Some(new) = &statement.new_values else { return Ok(None) };
        let table = &*target.home.table.table;
        let parameters = arguments.parameters(statement.parameters());
        let mut constants = Vec::with_capacity(new.constants.len());
        for (column, constant) in &new.constants {
            let definition = &table.columns[*column];
            match parameters.resolve(constant, &definition.ty) {
                Some(value) if !(value.is_null() && definition.not_null) => {
                    constants.push((*column, value))
                }
                _ => return Ok(None),
            }
        }
        if arguments.analyzing.is_some() {
            return Ok(None);
        }
        if let guard @ Some(_) = executor.begin_guard(&new.query.text).await? {
            executor.end_guard(guard, Ok(())).await?;
            return Ok(None);
        }
        let Some(computed) = new.run(executor, (statement, table), before, arguments).await? else {
            return Ok(None);
        };
        let count = computed.len();
        let mut changes = Vec::with_capacity(count);
        for (key, values) in computed {
            let Some(row) = before.get(&key) else { return Ok(None) };
            let Some(mut after) = new.assign(table, row, values) else { return Ok(None) };
            for (column, value) in &constants {
                after[*column] = value.clone();
            }
            if after != *row {
                changes.push(changed(&target.home, key, Some(row.clone()), Some(after)));
            }
        }
        Ok(Some((Answer::tagged(format!("UPDATE {count}")), changes)))
    }

    /// The keys of the rows that the UPDATE changes, each with its new values.
    async fn run<H: Host>(
        &self,
        executor: &mut Executor<'_, H>,
        (statement, table): (&StoreStatement, &Table),
        before: &Images,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Vec<(Key, Vec<Value>)>>> {
        let mut rows: Vec<&Row> = before.values().collect();
        rows.sort_by_cached_key(|row| ordered::encode(table.key_of(row).values()));
        let array = rows_as_array(rows).into();
        let (formats, values) = arguments.followed_by(std::slice::from_ref(&array));
        let key: Vec<_> =
            table.primary_key.iter().map(|&column| table.columns[column].ty.clone()).collect();
        let own = self.columns.iter().map(|(_, ty)| ty.clone());
        let types: Vec<TypeInfo> = key.iter().cloned().chain(own).collect();
        let portal = Portal {
            name: "",
            sql: &self.query.text,
            types: statement.parameters(),
            formats: &formats,
            values: &values,
            result_formats: &[1],
        };
        let name = executor.kept_name(&self.query, statement);
        let since = Some(self.query.since);
        let (rows, _) = executor.run_kept(name.as_deref(), since, &portal, push_row).await?;
        let decoded = rows.into_iter().map(|row| {
            let mut values = row.into_iter().zip(&types).map(|(bytes, ty)| match bytes {
                None => Some(Value::Null),
                Some(bytes) => binary::decode(ty, &bytes),
            });
            let key: Vec<Value> = values.by_ref().take(key.len()).collect::<Option<_>>()?;
            Some((Key::new(key), values.collect::<Option<_>>()?))
        });
        Ok(decoded.collect())
    }
}

fn push_row(rows: &mut Vec<Columns>, frame: &Frame) {
    if frame.tag() == reply::tag::DATA_ROW {
        rows.extend(reply::data_row(frame));
    }
}
