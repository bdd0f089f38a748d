//! From a record of a stream to a row.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{AttributeValue as Streamed, Record};
use flywheel_store::{Changed, StoreTable};
use flywheel_types::{Column, Key, Value};

use crate::attribute;

/// What has changed.
pub(super) fn changed(table: &StoreTable, record: Record) -> Changed {
    let Some(data) = record.dynamodb else { return Changed::Table };
    // A key of more than two columns has them as attributes only in the item's images.
    let items: Vec<_> = [data.keys, data.new_image, data.old_image].into_iter().flatten().collect();
    let columns = &table.table.columns;
    let key = table.table.primary_key.iter().map(|&position| value(&columns[position], &items));
    match key.collect::<Option<Vec<_>>>() {
        Some(values) => Changed::Row(Key::new(values)),
        None => Changed::Table,
    }
}

fn value(column: &Column, items: &[HashMap<String, Streamed>]) -> Option<Value> {
    let streamed = items.iter().find_map(|item| item.get(&column.name))?;
    let attribute = match streamed {
        Streamed::S(text) => AttributeValue::S(text.clone()),
        Streamed::N(number) => AttributeValue::N(number.clone()),
        Streamed::B(bytes) => AttributeValue::B(bytes.clone()),
        Streamed::Bool(flag) => AttributeValue::Bool(*flag),
        _ => return None,
    };
    attribute::decode(column, attribute).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodbstreams::types::StreamRecord;
    use flywheel_store::conformance::fixture::*;

    use super::*;

    #[test]
    fn keys_of_records() {
        let two =
            table("t", &[("a", text_type()), ("b", int8_type()), ("n", int8_type())], &["a", "b"]);
        let three = table(
            "t",
            &[("a", text_type()), ("b", int8_type()), ("n", int8_type())],
            &["a", "b", "n"],
        );
        let text_of = |value: &str| Streamed::S(value.to_owned());
        let number = |value: &str| Streamed::N(value.to_owned());
        let record = |data: StreamRecord| Record::builder().dynamodb(data).build();
        let keys = StreamRecord::builder().keys("a", text_of("x")).keys("b", number("7"));
        let row = |values: &[Value]| Changed::Row(key(values));
        assert_eq!(changed(&two, record(keys.clone().build())), row(&[text("x"), int(7)]));
        assert_eq!(changed(&three, record(keys.clone().build())), Changed::Table);
        let imaged = keys.clone().old_image("n", number("9")).build();
        assert_eq!(changed(&three, record(imaged)), row(&[text("x"), int(7), int(9)]));
        let foreign =
            StreamRecord::builder().keys("a", text_of("x")).keys("b", text_of("seven")).build();
        assert_eq!(changed(&two, record(foreign)), Changed::Table);
        assert_eq!(changed(&two, Record::builder().build()), Changed::Table);
    }
}
