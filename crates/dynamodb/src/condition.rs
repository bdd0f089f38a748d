//! What must hold of a stored row, as a ConditionExpression.
//!
//! A comparison with an attribute that isn't there is false, and NOT makes it true:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_store::{Expect, StoreError, StoreTable};
use flywheel_types::Row;

use crate::{expression::Placeholders, key, limits::check_expression, time};

/// The condition of `expect` at the moment `now`; `None` for no condition.
pub(crate) fn of(
    table: &StoreTable,
    expect: &Expect,
    now: i64,
    placeholders: &mut Placeholders,
) -> Result<Option<String>, StoreError> {
    let condition = match expect {
        Expect::Any => return Ok(None),
        Expect::Absent => absent(table, now, placeholders),
        Expect::Present => present(table, now, placeholders),
        Expect::Unchanged(row) => {
            present(table, now, placeholders) + &unchanged(table, row, placeholders)?
        }
    };
    check_expression(&table.physical_name, &condition)?;
    Ok(Some(condition))
}

fn absent(table: &StoreTable, now: i64, placeholders: &mut Placeholders) -> String {
    let key = placeholders.name(&table.table.partition_column().name);
    match expired(table, now, placeholders) {
        Some(expired) => format!("attribute_not_exists({key}) OR {expired}"),
        None => format!("attribute_not_exists({key})"),
    }
}

fn present(table: &StoreTable, now: i64, placeholders: &mut Placeholders) -> String {
    let key = placeholders.name(&table.table.partition_column().name);
    match expired(table, now, placeholders) {
        Some(expired) => format!("attribute_exists({key}) AND (NOT ({expired}))"),
        None => format!("attribute_exists({key})"),
    }
}

/// The byte order of the column's texts is the order in time.
fn expired(table: &StoreTable, now: i64, placeholders: &mut Placeholders) -> Option<String> {
    let column = &table.table.columns[table.expires_at?];
    let moment = placeholders.value(AttributeValue::S(time::timestamp_text(now, time::UTC)));
    Some(format!("{} <= {moment}", placeholders.name(&column.name)))
}

fn unchanged(
    table: &StoreTable,
    row: &Row,
    placeholders: &mut Placeholders,
) -> Result<String, StoreError> {
    let definition = &table.table;
    let mut null = None;
    let mut condition = String::new();
    for (position, (column, value)) in definition.columns.iter().zip(row).enumerate() {
        if definition.is_key(position) {
            continue;
        }
        let name = placeholders.name(&column.name);
        condition += &match key::encode_indexed(table, position, value)? {
            Some(attribute) => format!(" AND {name} = {}", placeholders.value(attribute)),
            // Other tools may write NULL as an attribute of that type
            None => {
                let null =
                    null.get_or_insert_with(|| placeholders.value(AttributeValue::Null(true)));
                format!(" AND (attribute_not_exists({name}) OR {name} = {null})")
            }
        };
    }
    Ok(condition)
}

#[cfg(test)]
mod tests {
    use flywheel_types::{Value, oid};

    use super::*;
    use crate::test_tables::{column, history, table};

    #[test]
    fn conditions_are_short() {
        let plain = table(
            vec![
                column("id", oid::INT8, -1),
                column("select", oid::TEXT, -1),
                column("n", oid::INT4, -1),
            ],
            vec![0],
            None,
        );
        let text = |expect| of(&plain, &expect, 0, &mut Placeholders::default()).unwrap();
        assert_eq!(text(Expect::Any), None);
        assert_eq!(text(Expect::Absent).as_deref(), Some("attribute_not_exists(#0)"));
        assert_eq!(text(Expect::Present).as_deref(), Some("attribute_exists(#0)"));
        assert_eq!(
            text(Expect::Unchanged(vec![Value::Int(1), Value::Text("x".into()), Value::Null]))
                .as_deref(),
            Some("attribute_exists(#0) AND #1 = :0 AND (attribute_not_exists(#2) OR #2 = :1)")
        );
    }

    #[test]
    fn an_expired_row_is_absent() {
        let mut placeholders = Placeholders::default();
        let condition = of(&history(), &Expect::Absent, 0, &mut placeholders).unwrap().unwrap();
        assert_eq!(condition, "attribute_not_exists(#0) OR #1 <= :0");
        let (names, values) = placeholders.into_maps();
        assert_eq!(names.unwrap()["#1"], "expires");
        assert_eq!(values.unwrap()[":0"], AttributeValue::S("2000-01-01T00:00:00.000000Z".into()));
    }

    #[test]
    fn too_many_columns_are_refused_before_they_are_sent() {
        let columns = (0..400).map(|n| column(&format!("c{n}"), oid::INT4, -1)).collect();
        let wide = table(columns, vec![0], None);
        let row = vec![Value::Int(1); 400];
        assert!(matches!(
            of(&wide, &Expect::Unchanged(row), 0, &mut Placeholders::default()),
            Err(StoreError::LimitExceeded { .. })
        ));
    }
}
