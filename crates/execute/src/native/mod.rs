//! Statements that are one operation of a store. Each gives `None` when a constant can't be read or
//! a value can't be printed natively; then the general plan answers.

mod change;
mod insert;
mod select;

use std::sync::Arc;

use flywheel_plan::{Home, Native};
use flywheel_types::{Row, Scalar, Table, TypeInfo};
use flywheel_wire::frontend::format_at;

use super::ranked::{BIGINT, ranked_types};
use super::strength::Strength;
use super::{Answer, Arguments, Kind, StoreStatement};
use crate::failure::Outcome;
use crate::host::{Executor, Host};

impl<H: Host> Executor<'_, H> {
    pub(super) async fn native(
        &mut self,
        native: &Native,
        home: &Arc<Home>,
        statement: &StoreStatement,
        arguments: &Arguments<'_>,
    ) -> Outcome<Option<Answer>> {
        let parameters = arguments.parameters(statement.parameters());
        let table = &home.table.table;
        let types: Vec<&TypeInfo> = match native {
            Native::Select(select) => column_types(table, &select.projection),
            // PostgreSQL prints it.
            Native::Top(_) => return Ok(None),
            Native::Count(_) => vec![&BIGINT],
            Native::Ranked(ranked) => ranked_types(table, ranked),
            Native::Insert(insert) => column_types(table, &insert.returning),
            Native::Update(update) => column_types(table, &update.returning),
            Native::Delete(delete) => column_types(table, &delete.returning),
        };
        if !self.can_print(&types, statement, arguments.result_formats) {
            return Ok(None);
        }
        match native {
            Native::Select(select) => {
                let strength = match &statement.kind {
                    Kind::Planned { parsed, .. } => Strength::of(parsed, 0),
                    _ => None,
                };
                self.native_select((select, strength), home, &parameters, arguments).await
            }
            Native::Top(_) => Ok(None),
            Native::Count(count) => self.native_count(count, home, &parameters, arguments).await,
            Native::Ranked(ranked) => {
                self.native_ranked(ranked, home, &parameters, arguments).await
            }
            Native::Insert(insert) => {
                self.native_insert(insert, home, &parameters, arguments).await
            }
            Native::Update(update) => {
                self.native_update(update, home, &parameters, arguments).await
            }
            Native::Delete(delete) => {
                self.native_delete(delete, home, &parameters, arguments).await
            }
        }
    }

    /// Whether these columns can be printed here as PostgreSQL would print them for this session.
    fn can_print(&self, types: &[&TypeInfo], statement: &StoreStatement, formats: &[i16]) -> bool {
        let fields = statement.fields().unwrap_or_default();
        fields.len() == types.len()
            && types.iter().zip(fields).enumerate().all(|(place, (ty, field))| {
                // A definition that has changed since it was read.
                if ty.oid != field.type_oid {
                    return false;
                }
                match format_at(formats, place) {
                    0 => ty.scalar.text_is_stable() || self.prints_as_canonical(ty.scalar),
                    _ => ty.scalar != Scalar::Other,
                }
            })
    }

    /// Whether the session's settings print values of the type as [`flywheel_types::text::encode`]
    /// does.
    fn prints_as_canonical(&self, scalar: Scalar) -> bool {
        let iso = self.reported().get("DateStyle").is_some_and(|style| style.starts_with("ISO"));
        let utc = self.reported().get("TimeZone").is_some_and(|zone| {
            matches!(zone.as_str(), "UTC" | "Etc/UTC" | "GMT" | "Etc/GMT" | "UCT" | "Zulu")
        });
        let unset = |name: &str| self.setting(name).is_none() && !self.is_pinned();
        match scalar {
            Scalar::Timestamptz => iso && utc,
            Scalar::Timestamp | Scalar::Date => iso,
            Scalar::Bytea => self.prints_hex() && unset("bytea_output"),
            Scalar::Float4 | Scalar::Float8 => {
                self.prints_shortest_floats() && unset("extra_float_digits")
            }
            _ => false,
        }
    }
}

fn column_types<'t>(table: &'t Table, projection: &[usize]) -> Vec<&'t TypeInfo> {
    projection.iter().map(|&position| &table.columns[position].ty).collect()
}

fn one_row_answer(
    verb: &str,
    table: &Table,
    row: Option<&Row>,
    returning: &[usize],
    arguments: &Arguments<'_>,
) -> Answer {
    let mut answer = Answer::tagged(format!("{verb} {}", usize::from(row.is_some())));
    if let Some(row) = row.filter(|_| !returning.is_empty()) {
        answer.push_row(table, row, returning, arguments.result_formats);
    }
    answer
}
