//! A range of one partition, of the table or of an index: Query.
//!
//! Query takes one condition on the sort key, so that two ends are BETWEEN, which includes both;
//! and an end that DynamoDB can't express (an empty text, infinity) is left open. What is read
//! besides is dropped here.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use flywheel_store::{Bound, Index, KeyRange, StoreError, StoreTable, now_micros};
use flywheel_types::{Column, Row};

use crate::{
    client::DynamoStore,
    error::store_error,
    expression::Placeholders,
    item::{self, Item},
    key::{self, Part, encode_part},
    limits::SORT_KEY_BYTES,
    paging::PageSize,
    projection,
};

impl DynamoStore {
    /// The rows of a range of the primary key, or of an index.
    pub(crate) async fn range_rows(
        &self,
        table: &StoreTable,
        index: Option<&Index>,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if range.sort_bytes().is_none() {
            return Ok(Vec::new());
        }
        let Some(query) = query(table, index, range)? else {
            return Ok(Vec::new());
        };
        let columns = index.map_or(&table.table.primary_key, |index| &index.columns);
        let consistent = index
            .map_or(table.consistent_read, |index| !index.is_eventual && index.consistent_read);
        // An index that holds all that is needed is read alone.
        let lacks = |held: &Vec<usize>| {
            (0..table.table.columns.len())
                .any(|position| table.wants(position) && !held.contains(&position))
        };
        let parts = index.and_then(|index| index.projected.as_ref());
        // What only keeps a lock has no attributes but those of the key, and is in an index over
        // these. The part that the index has doesn't tell.
        let is_over_key = columns.iter().all(|&column| table.table.is_key(column));
        let is_partial = parts.is_some_and(|held| lacks(held) || is_over_key);
        let name = self.table_name(table);
        let now = now_micros();
        let mut placeholders = query.placeholders;
        // Of an index with parts of items, the keys are needed, whatever they are made of.
        let projection = if is_partial {
            None
        } else {
            projection::of(table, parts.is_none(), &mut placeholders)
        };
        let (names, values) = placeholders.into_maps();
        let mut page = PageSize::of(limit.saturating_add(query.besides));
        let mut rows = Vec::new();
        let mut start = None;
        while rows.len() < limit {
            let answer = self
                .client
                .query()
                .table_name(&name)
                .set_index_name(index.map(|index| index.name.clone()))
                .key_condition_expression(&query.condition)
                .set_expression_attribute_names(names.clone())
                .set_expression_attribute_values(values.clone())
                .set_projection_expression(projection.clone())
                .scan_index_forward(!range.descending)
                .consistent_read(consistent)
                .limit(page.next())
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| store_error(&name, &error))?;
            let mut items = answer.items.unwrap_or_default();
            if is_partial {
                items = self.whole_items(table, items).await?;
            }
            for item in items {
                rows.extend(
                    item::decode_live(table, item, now)?.filter(|row| range.contains(columns, row)),
                );
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        if is_partial {
            // Whole items come in no order, and may have moved since.
            rows.sort_by_cached_key(|row| KeyRange::sort_key(columns, row));
            if range.descending {
                rows.reverse();
            }
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// The items of the table that an index has a part of.
    async fn whole_items(
        &self,
        table: &StoreTable,
        parts: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let names: Vec<&str> =
            key::attributes(&table.table).iter().map(|attribute| attribute.name).collect();
        let key = |mut part: Item| {
            part.retain(|name, _| names.contains(&name.as_str()));
            part
        };
        let mut keys: Vec<Item> = parts.into_iter().map(key).collect();
        if keys.len() > 1 {
            self.batch_get(table, keys).await
        } else {
            self.get_item(table, keys.pop()).await
        }
    }
}

struct Query {
    condition: String,
    placeholders: Placeholders,
    /// How many excluded ends the condition admits.
    besides: usize,
}

/// The query of a range whose ends are the right way round (DynamoDB refuses a BETWEEN otherwise);
/// `None` when no row can have the partition.
fn query(
    table: &StoreTable,
    index: Option<&Index>,
    range: &KeyRange,
) -> Result<Option<Query>, StoreError> {
    let mut placeholders = Placeholders::default();
    let columns = &table.table.columns;
    let partition =
        index.map_or_else(|| table.table.partition_column(), |index| &columns[index.columns[0]]);
    let value = match encode_part(partition, Part::Partition, &range.partition) {
        Ok(value) => value,
        Err(StoreError::LimitExceeded { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut condition =
        format!("{} = {}", placeholders.name(&partition.name), placeholders.value(value));
    let (sort, (lower, upper)) = match index {
        Some(index) => match index.columns.get(1).map(|&sort| &columns[sort]) {
            Some(sort) => {
                (sort.name.as_str(), (end(sort, &range.lower)?, end(sort, &range.upper)?))
            }
            None => ("", (End::Open, End::Open)),
        },
        None => {
            let sort = key::attributes(&table.table).pop().map_or("", |attribute| attribute.name);
            (sort, ends(table, range)?)
        }
    };
    let mut besides = 0;
    let mut compare = |operator: &str, value: AttributeValue| {
        condition +=
            &format!(" AND {} {operator} {}", placeholders.name(sort), placeholders.value(value));
    };
    match (lower, upper) {
        (End::At(lower, includes_lower), End::At(upper, includes_upper)) => {
            besides = usize::from(!includes_lower) + usize::from(!includes_upper);
            compare("BETWEEN", lower);
            condition += &format!(" AND {}", placeholders.value(upper));
        }
        (End::At(lower, includes), _) => compare(if includes { ">=" } else { ">" }, lower),
        (_, End::At(upper, includes)) => compare(if includes { "<=" } else { "<" }, upper),
        _ => {}
    }
    Ok(Some(Query { condition, placeholders, besides }))
}

/// The range's ends over the sort key.
fn ends(table: &StoreTable, range: &KeyRange) -> Result<(End, End), StoreError> {
    if let Some(column) = key::single_sort_column(&table.table) {
        return Ok((end(column, &range.lower)?, end(column, &range.upper)?));
    }
    if table.table.primary_key.len() == 1
        && (range.lower != Bound::Unbounded || range.upper != Bound::Unbounded)
    {
        return Err(StoreError::Unsupported {
            what: format!("\"{}\" has no sort key for a range", table.physical_name),
        });
    }
    let (first, end) = range.sort_bytes().unwrap_or_default();
    let at = |bytes: Vec<u8>, included| {
        let expressible = !bytes.is_empty() && bytes.len() <= SORT_KEY_BYTES;
        if expressible { End::At(AttributeValue::B(Blob::new(bytes)), included) } else { End::Open }
    };
    Ok((at(first, true), at(end.unwrap_or_default(), false)))
}

/// One end as DynamoDB can have it.
#[derive(Debug, PartialEq)]
enum End {
    Open,
    /// At a value, included or not.
    At(AttributeValue, bool),
}

fn end(column: &Column, bound: &Bound) -> Result<End, StoreError> {
    let (value, included) = match bound {
        Bound::Unbounded => return Ok(End::Open),
        Bound::Included(value) => (value, true),
        Bound::Excluded(value) => (value, false),
    };
    match encode_part(column, Part::Sort, value) {
        Ok(attribute) => Ok(End::At(attribute, included)),
        Err(StoreError::LimitExceeded { .. }) => Ok(End::Open),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use flywheel_types::{Value, oid};

    use super::*;
    use crate::test_tables::{column, history, table};

    fn range(lower: Bound, upper: Bound) -> KeyRange {
        KeyRange { partition: Value::Text("ann".into()), lower, upper, descending: false }
    }

    fn at(micros: i64) -> Value {
        Value::Timestamptz(micros)
    }

    #[test]
    fn two_ends_are_between() {
        let both = query(&history(), None, &range(Bound::Excluded(at(0)), Bound::Included(at(1))))
            .unwrap()
            .unwrap();
        assert_eq!(both.condition, "#0 = :0 AND #1 BETWEEN :1 AND :2");
        assert_eq!(both.besides, 1, "the excluded end");
        let one = query(&history(), None, &range(Bound::Excluded(at(0)), Bound::Unbounded))
            .unwrap()
            .unwrap();
        assert_eq!((one.condition.as_str(), one.besides), ("#0 = :0 AND #1 > :1", 0));
        let open =
            query(&history(), None, &range(Bound::Unbounded, Bound::Unbounded)).unwrap().unwrap();
        assert_eq!((open.condition.as_str(), open.besides), ("#0 = :0", 0));
    }

    #[test]
    fn an_end_that_cant_be_sent_is_left_open() {
        let tags = table(
            vec![column("owner", oid::TEXT, -1), column("tag", oid::TEXT, -1)],
            vec![0, 1],
            None,
        );
        let empty = Bound::Excluded(Value::Text(String::new()));
        let query = query(&tags, None, &range(empty, Bound::Included(Value::Text("b".into()))))
            .unwrap()
            .unwrap();
        assert_eq!(query.condition, "#0 = :0 AND #1 <= :1");
    }

    #[test]
    fn several_sort_columns_are_compared_as_bytes() {
        let days = table(
            vec![
                column("owner", oid::TEXT, -1),
                column("day", oid::DATE, -1),
                column("n", oid::INT4, -1),
            ],
            vec![0, 1, 2],
            None,
        );
        let query = query(
            &days,
            None,
            &range(Bound::Included(Value::Date(1)), Bound::Included(Value::Date(1))),
        )
        .unwrap()
        .unwrap();
        assert_eq!(query.condition, "#0 = :0 AND #1 BETWEEN :1 AND :2");
        let (names, values) = query.placeholders.into_maps();
        assert_eq!(names.unwrap()["#1"], key::SORT_ATTRIBUTE);
        assert_eq!(
            values.unwrap()[":1"],
            AttributeValue::B(Blob::new([0x80, 0, 0, 0, 0, 0, 0, 1]))
        );
    }
}
