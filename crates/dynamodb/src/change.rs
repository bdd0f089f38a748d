//! A change as the request that makes it, single or in a transaction.

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_store::{Assignment, Change, Effect, Expect, StoreError, StoreTable};
use flywheel_types::Row;

use crate::{
    condition,
    expression::Placeholders,
    item::{self, Item, TTL_ATTRIBUTE},
    key,
    limits::item_size,
    lock,
};

/// A change that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) action: Action,
    pub(crate) condition: Option<String>,
    pub(crate) placeholders: Placeholders,
    /// The size of the item that comes of it, where that is known.
    pub(crate) size: usize,
}

/// What a request does.
#[derive(Debug)]
pub(crate) enum Action {
    Put(Item),
    /// With the UpdateExpression; `None` where nothing is set.
    Update(Item, Option<String>),
    Delete(Item),
}

/// What is to be done for a change.
#[derive(Debug)]
pub(crate) enum Planned {
    Send(Request),
    /// DynamoDB can't store the key, so no row has it, and the change wants one.
    Refuse,
    /// DynamoDB can't store the key, and the change only wants no row to have it.
    Nothing,
}

/// The request of a change at the moment `now`, of a row that nobody has locked.
pub(crate) fn plan(table: &StoreTable, change: &Change, now: i64) -> Result<Planned, StoreError> {
    let condition = |placeholders: &mut Placeholders| {
        let free = lock::free(placeholders);
        let holds = condition::of(table, &change.expect, now, placeholders)?;
        Ok(holds.map_or_else(|| free.clone(), |holds| format!("{free} AND ({holds})")))
    };
    if let Effect::Put(row) = &change.effect {
        let item = item::encode(table, row)?;
        let size = item_size(&item);
        let planned = match changed_columns(table, change, row)? {
            Some((key, expression, placeholders)) => {
                request(table, Action::Update(key, expression), placeholders, condition)?
            }
            None => request(table, Action::Put(item), Placeholders::default(), condition)?,
        };
        return Ok(match planned {
            Planned::Send(request) => Planned::Send(Request { size, ..request }),
            other => other,
        });
    }
    let key = match (key::encode(&table.table, &change.key), &change.expect) {
        (Ok(key), _) => key,
        (Err(StoreError::LimitExceeded { .. }), Expect::Present | Expect::Unchanged(_)) => {
            return Ok(Planned::Refuse);
        }
        (Err(StoreError::LimitExceeded { .. }), Expect::Any | Expect::Absent) => {
            return Ok(Planned::Nothing);
        }
        (Err(error), _) => return Err(error),
    };
    let mut placeholders = Placeholders::default();
    let action = match &change.effect {
        Effect::Set(values) => {
            // UpdateItem puts a row where there is none
            if matches!(change.expect, Expect::Any | Expect::Absent) {
                return Err(StoreError::Unsupported {
                    what: format!(
                        "columns of a row of \"{}\" can only be set where there is a row",
                        table.physical_name
                    ),
                });
            }
            match assignments(table, values, &mut placeholders)? {
                Some((expression, addable)) => {
                    return request(
                        table,
                        Action::Update(key, expression),
                        placeholders,
                        |placeholders| {
                            let conditions =
                                std::iter::once(condition(placeholders)?).chain(addable);
                            Ok(conditions.collect::<Vec<_>>().join(" AND "))
                        },
                    );
                }
                None => return Ok(Planned::Refuse),
            }
        }
        _ => Action::Delete(key),
    };
    request(table, action, placeholders, condition)
}

/// The update that makes a row as it was read into another: attributes that aren't columns, another
/// application's, stay. `None` where nothing is known of the row, or its change takes more than an
/// expression may.
fn changed_columns(
    table: &StoreTable,
    change: &Change,
    after: &Row,
) -> Result<Option<(Item, Option<String>, Placeholders)>, StoreError> {
    let Expect::Unchanged(before) = &change.expect else {
        return Ok(None);
    };
    let mut values = Vec::new();
    for position in (0..after.len()).filter(|&position| !table.table.is_key(position)) {
        let attribute = |row: &Row| key::encode_indexed(table, position, &row[position]);
        if attribute(before)? != attribute(after)? {
            values.push((position, Assignment::Value(after[position].clone())));
        }
    }
    let mut placeholders = Placeholders::default();
    match assignments(table, &values, &mut placeholders) {
        Ok(Some((expression, _))) => {
            Ok(Some((key::encode(&table.table, &change.key)?, expression, placeholders)))
        }
        Ok(None) | Err(StoreError::LimitExceeded { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn request(
    table: &StoreTable,
    action: Action,
    mut placeholders: Placeholders,
    condition: impl FnOnce(&mut Placeholders) -> Result<String, StoreError>,
) -> Result<Planned, StoreError> {
    let condition = condition(&mut placeholders)?;
    crate::limits::check_expression(&table.physical_name, &condition)?;
    Ok(Planned::Send(Request { action, condition: Some(condition), placeholders, size: 0 }))
}

/// An UpdateExpression, if there is anything to be set, and conditions of what is added to.
type Assignments = (Option<String>, Vec<String>);

/// `None` when something is added to what no sum can be of.
pub(crate) fn assignments(
    table: &StoreTable,
    values: &[(usize, Assignment)],
    placeholders: &mut Placeholders,
) -> Result<Option<Assignments>, StoreError> {
    let (mut set, mut remove, mut addable) = (Vec::new(), Vec::new(), Vec::new());
    for (position, assignment) in values {
        let column = &table.table.columns[*position];
        if table.table.is_key(*position) {
            return Err(StoreError::Unsupported {
                what: format!(
                    "column \"{}\" is part of the key of \"{}\" and can't be set",
                    column.name, table.physical_name
                ),
            });
        }
        let Assignment::Add(amount) = assignment else { continue };
        let Some(addends) = Assignment::addends(column.ty.scalar, *amount) else {
            return Ok(None);
        };
        let mut number = |number: i64| placeholders.value(AttributeValue::N(number.to_string()));
        let (least, greatest, amount) =
            (number(*addends.start()), number(*addends.end()), number(*amount));
        let name = placeholders.name(&column.name);
        // False where there is no attribute, or one that isn't a number.
        addable.push(format!("{name} BETWEEN {least} AND {greatest}"));
        set.push(format!("{name} = {name} + {amount}"));
    }
    let mut assign = |attribute: &str, value: Option<AttributeValue>| {
        let name = placeholders.name(attribute);
        match value {
            Some(value) => set.push(format!("{name} = {}", placeholders.value(value))),
            None => remove.push(name),
        }
    };
    for (position, assignment) in values {
        let Assignment::Value(value) = assignment else { continue };
        let column = &table.table.columns[*position];
        assign(&column.name, key::encode_indexed(table, *position, value)?);
        if table.expires_at == Some(*position) {
            assign(TTL_ATTRIBUTE, item::ttl(value)?);
        }
    }
    let clauses: Vec<String> = [("SET", set), ("REMOVE", remove)]
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(clause, parts)| format!("{clause} {}", parts.join(", ")))
        .collect();
    let expression = clauses.join(" ");
    crate::limits::check_expression(&table.physical_name, &expression)?;
    Ok(Some(((!expression.is_empty()).then_some(expression), addable)))
}

#[cfg(test)]
mod tests {
    use flywheel_types::{Key, Value};

    use super::*;
    use crate::test_tables::history;

    fn change(owner: &str, expect: Expect, effect: Effect) -> Change {
        Change {
            key: Key::new(vec![Value::Text(owner.into()), Value::Timestamptz(0)]),
            expect,
            effect,
        }
    }

    #[test]
    fn null_is_removed_and_expiry_set_twice() {
        let effect = Effect::Set(vec![
            (2, Assignment::Value(Value::Null)),
            (4, Assignment::Value(Value::Timestamptz(1))),
        ]);
        let Planned::Send(request) =
            plan(&history(), &change("ann", Expect::Present, effect), 0).unwrap()
        else {
            panic!()
        };
        let Action::Update(_, expression) = request.action else { panic!() };
        assert_eq!(expression.as_deref(), Some("SET #1 = :0, #2 = :1 REMOVE #0"));
        let (names, values) = request.placeholders.into_maps();
        assert_eq!(names.unwrap()["#2"], TTL_ATTRIBUTE);
        assert_eq!(values.unwrap()[":1"], AttributeValue::N("946684801".into()));
    }

    #[test]
    fn a_key_that_cant_be_stored_has_no_row() {
        let planned = |expect| plan(&history(), &change("", expect, Effect::Delete), 0).unwrap();
        assert!(matches!(planned(Expect::Any), Planned::Nothing));
        assert!(matches!(planned(Expect::Present), Planned::Refuse));
    }

    #[test]
    fn keys_arent_set() {
        let effect = Effect::Set(vec![(0, Assignment::Value(Value::Text("bob".into())))]);
        assert!(matches!(
            plan(&history(), &change("ann", Expect::Present, effect), 0),
            Err(StoreError::Unsupported { .. })
        ));
    }
}
