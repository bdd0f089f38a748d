//! A row's primary key as partition key and sort key.

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, ScalarAttributeType},
};
use flywheel_store::{StoreError, StoreTable};
use flywheel_types::{Column, Key, Scalar, Table, Value, ordered};

use crate::{
    attribute,
    item::Item,
    limits::{PARTITION_KEY_BYTES, SORT_KEY_BYTES, exceeded},
    number::Decimal,
};

/// Which part of the key a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Partition,
    Sort,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition key",
            Self::Sort => "sort key",
        }
    }

    fn limit(self) -> usize {
        match self {
            Self::Partition => PARTITION_KEY_BYTES,
            Self::Sort => SORT_KEY_BYTES,
        }
    }
}

/// The sort key of a table whose primary key has more than two columns: one binary attribute for
/// all but the first, as [`ordered`] bytes. The columns are attributes of their own besides.
pub(crate) const SORT_ATTRIBUTE: &str = "flywheel_sort";

/// An attribute of the key, as a table's definition in DynamoDB has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyAttribute<'t> {
    pub(crate) name: &'t str,
    pub(crate) part: Part,
    pub(crate) ty: ScalarAttributeType,
}

/// The key's attributes, the partition key first.
pub(crate) fn attributes(table: &Table) -> Vec<KeyAttribute<'_>> {
    let partition = table.partition_column();
    let mut attributes = vec![KeyAttribute {
        name: &partition.name,
        part: Part::Partition,
        ty: attribute_type(partition),
    }];
    match single_sort_column(table) {
        Some(column) => attributes.push(KeyAttribute {
            name: &column.name,
            part: Part::Sort,
            ty: attribute_type(column),
        }),
        None if table.primary_key.len() > 2 => attributes.push(KeyAttribute {
            name: SORT_ATTRIBUTE,
            part: Part::Sort,
            ty: ScalarAttributeType::B,
        }),
        None => {}
    }
    attributes
}

/// The sort column that is the sort key by itself; `None` when there is none, or several.
pub(crate) fn single_sort_column(table: &Table) -> Option<&Column> {
    let mut columns = table.sort_columns();
    columns.next().filter(|_| columns.next().is_none())
}

/// The attributes of a key; [`StoreError::LimitExceeded`] for one that DynamoDB can't store, so
/// that no row has it.
pub(crate) fn encode(table: &Table, key: &Key) -> Result<Item, StoreError> {
    let partition = table.partition_column();
    let mut item = Item::from([(
        partition.name.clone(),
        encode_part(partition, Part::Partition, key.partition())?,
    )]);
    match (single_sort_column(table), key.sort()) {
        (Some(column), [value]) => {
            item.insert(column.name.clone(), encode_part(column, Part::Sort, value)?);
        }
        (None, [_, _, ..]) => {
            item.insert(SORT_ATTRIBUTE.to_owned(), encode_several(table, key.sort())?);
        }
        _ => {}
    }
    Ok(item)
}

/// The sort key of several columns.
fn encode_several(table: &Table, values: &[Value]) -> Result<AttributeValue, StoreError> {
    let bytes = ordered::encode(values);
    if bytes.len() > SORT_KEY_BYTES {
        let columns: Vec<_> =
            table.sort_columns().map(|column| format!("\"{}\"", column.name)).collect();
        return Err(exceeded(format!(
            "sort key columns {} are {} bytes long together; DynamoDB's limit for a sort key is {SORT_KEY_BYTES} bytes",
            columns.join(", "),
            bytes.len()
        )));
    }
    Ok(AttributeValue::B(Blob::new(bytes)))
}

/// The attribute of one key column's value.
pub(crate) fn encode_part(
    column: &Column,
    part: Part,
    value: &Value,
) -> Result<AttributeValue, StoreError> {
    let attribute = match (column.ty.scalar, value) {
        // Key attributes are S, N or B only; "false" sorts before "true" as PostgreSQL's booleans
        // do.
        (Scalar::Bool, Value::Bool(flag)) => AttributeValue::S(flag.to_string()),
        // Without the blanks at its end, which PostgreSQL doesn't compare: `a` sorts before
        // `a\x01`.
        (Scalar::Bpchar(_), Value::Bpchar(text)) => {
            AttributeValue::S(text.trim_end_matches(' ').to_owned())
        }
        (Scalar::Numeric(_), Value::Numeric(digits)) => match Decimal::parse(digits) {
            Some(number) if number.fits() => AttributeValue::N(number.to_plain()),
            _ => {
                return Err(exceeded(format!(
                    "{} column \"{}\" is {digits}; a key number in DynamoDB has up to 38 digits and is finite",
                    part.name(),
                    column.name
                )));
            }
        },
        (Scalar::Float4 | Scalar::Float8 | Scalar::Json | Scalar::Jsonb | Scalar::Other, _) => {
            return Err(attribute::mismatch(column));
        }
        _ => attribute::encode(column, value)?.ok_or_else(|| attribute::mismatch(column))?,
    };
    check_size(column, part, &attribute)?;
    Ok(attribute)
}

/// The attribute of a column outside of the primary key, in the form that an index over it needs;
/// `None` for NULL, which is in no index.
pub(crate) fn encode_indexed(
    table: &StoreTable,
    position: usize,
    value: &Value,
) -> Result<Option<AttributeValue>, StoreError> {
    let column = &table.table.columns[position];
    let places = table.indexes.iter().filter_map(|index| {
        let place = index.columns.iter().position(|&each| each == position)?;
        Some((index, if place == 0 { Part::Partition } else { Part::Sort }))
    });
    let mut attribute = None;
    if !value.is_null() {
        for (index, part) in places {
            attribute = Some(encode_part(column, part, value).map_err(|error| match error {
                StoreError::LimitExceeded { what } => {
                    exceeded(format!("index \"{}\": {what}", index.name))
                }
                other => other,
            })?);
        }
    }
    attribute.map_or_else(|| attribute::encode(column, value), |attribute| Ok(Some(attribute)))
}

/// The type of a key column's attribute.
pub(crate) fn attribute_type(column: &Column) -> ScalarAttributeType {
    match column.ty.scalar {
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Numeric(_) => ScalarAttributeType::N,
        Scalar::Bytea => ScalarAttributeType::B,
        _ => ScalarAttributeType::S,
    }
}

fn check_size(column: &Column, part: Part, attribute: &AttributeValue) -> Result<(), StoreError> {
    let size = match attribute {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        _ => return Ok(()),
    };
    let (name, limit) = (part.name(), part.limit());
    if size == 0 {
        return Err(exceeded(format!(
            "{name} column \"{}\" is empty; DynamoDB allows no empty value in a key",
            column.name
        )));
    }
    if size > limit {
        return Err(exceeded(format!(
            "{name} column \"{}\" is {size} bytes long; DynamoDB's limit for a {name} is {limit} bytes",
            column.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flywheel_types::oid;

    use super::*;
    use crate::test_tables::column;

    fn refusal(column: &Column, part: Part, value: Value) -> String {
        match encode_part(column, part, &value) {
            Err(StoreError::LimitExceeded { what }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_past_a_limit_are_refused_with_its_name() {
        let name = column("name", oid::TEXT, -1);
        assert_eq!(
            refusal(&name, Part::Partition, Value::Text("x".repeat(2049))),
            "partition key column \"name\" is 2049 bytes long; DynamoDB's limit for a partition key is 2048 bytes"
        );
        assert!(encode_part(&name, Part::Partition, &Value::Text("x".repeat(2048))).is_ok());
        assert!(
            refusal(&name, Part::Sort, Value::Text("x".repeat(1025)))
                .contains("limit for a sort key is 1024 bytes")
        );
        assert!(refusal(&name, Part::Sort, Value::Text(String::new())).contains("no empty value"));
        let wide = column("n", oid::NUMERIC, (60 << 16) + 4);
        assert!(
            refusal(&wide, Part::Partition, Value::Numeric("1".repeat(39))).contains("38 digits")
        );
        assert!(refusal(&wide, Part::Partition, Value::Numeric("NaN".into())).contains("finite"));
    }

    #[test]
    fn a_null_is_no_key() {
        assert!(matches!(
            encode_part(&column("n", oid::INT4, -1), Part::Partition, &Value::Null),
            Err(StoreError::Unsupported { .. })
        ));
    }

    #[test]
    fn blanks_at_the_end_are_no_part_of_a_key() {
        let code = column("code", oid::BPCHAR, 4 + 4);
        let padded = Value::Bpchar("ab  ".into());
        let attribute = encode_part(&code, Part::Sort, &padded).unwrap();
        assert_eq!(attribute, AttributeValue::S("ab".into()));
        assert_eq!(attribute::decode(&code, attribute), Some(padded));
        assert!(
            refusal(&code, Part::Sort, Value::Bpchar("    ".into())).contains("no empty value")
        );
    }

    #[test]
    fn booleans_are_strings() {
        assert_eq!(
            encode_part(&column("b", oid::BOOL, -1), Part::Sort, &Value::Bool(true)).unwrap(),
            AttributeValue::S("true".into())
        );
    }
}
