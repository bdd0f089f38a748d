//! `jsonb` documents as DynamoDB documents, where nothing of them is lost.
//!
//! DynamoDB drops a number's trailing zeros and bounds its digits, a map's keys can't be empty, and
//! nesting ends at 32 levels. A document that wouldn't come back to the byte is kept as its text
//! instead.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value as Json, value::RawValue};

use crate::{
    limits::DOCUMENT_DEPTH,
    number::{Decimal, has_trailing_zero},
};

/// The document as a map, list, number or boolean; `None` when it must be kept as text. Strings and
/// null at the top are kept as text always: a string attribute is JSON text.
pub(crate) fn to_document(text: &str) -> Option<AttributeValue> {
    let json = serde_json::from_str(text).ok()?;
    if matches!(json, Json::Null | Json::String(_)) {
        return None;
    }
    let document = to_attribute(&json, DOCUMENT_DEPTH)?;
    (to_text(&document).as_deref() == Some(text)).then_some(document)
}

/// The document as PostgreSQL prints `jsonb`; `None` when it holds what JSON hasn't: sets and
/// binary.
pub(crate) fn to_text(document: &AttributeValue) -> Option<String> {
    let mut out = String::new();
    print(document, &mut out)?;
    Some(out)
}

/// Whether a string attribute is JSON text, as all that Flywheel writes are. Any depth: nothing is
/// built.
pub(crate) fn is_text(text: &str) -> bool {
    !text.contains('\0') && serde_json::from_str::<&RawValue>(text).is_ok()
}

fn to_attribute(json: &Json, levels: usize) -> Option<AttributeValue> {
    let inside = levels.checked_sub(1)?;
    Some(match json {
        Json::Null => AttributeValue::Null(true),
        Json::Bool(flag) => AttributeValue::Bool(*flag),
        Json::Number(number) => {
            let text = number.to_string();
            if has_trailing_zero(&text) || !Decimal::parse(&text)?.fits() {
                return None;
            }
            AttributeValue::N(text)
        }
        Json::String(text) => AttributeValue::S(text.clone()),
        Json::Array(items) => AttributeValue::L(
            items.iter().map(|item| to_attribute(item, inside)).collect::<Option<_>>()?,
        ),
        Json::Object(members) => AttributeValue::M(
            members
                .iter()
                .map(|(name, member)| {
                    if name.is_empty() {
                        None
                    } else {
                        Some((name.clone(), to_attribute(member, inside)?))
                    }
                })
                .collect::<Option<HashMap<_, _>>>()?,
        ),
    })
}

fn print(document: &AttributeValue, out: &mut String) -> Option<()> {
    match document {
        AttributeValue::Null(_) => out.push_str("null"),
        AttributeValue::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        AttributeValue::N(number) => out.push_str(&Decimal::parse(number)?.to_plain()),
        AttributeValue::S(text) => print_string(text, out)?,
        AttributeValue::L(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                print(item, out)?;
            }
            out.push(']');
        }
        AttributeValue::M(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            // jsonb's own order of keys: shorter first, then by bytes (jsonb_util.c,
            // lengthCompareJsonbStringValue)
            names.sort_unstable_by(|one, other| {
                one.len().cmp(&other.len()).then_with(|| one.cmp(other))
            });
            out.push('{');
            for (position, name) in names.into_iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                print_string(name, out)?;
                out.push_str(": ");
                print(&members[name], out)?;
            }
            out.push('}');
        }
        _ => return None,
    }
    Some(())
}

/// PostgreSQL escapes what JSON must escape and nothing else (json.c, `escape_json`), as
/// `serde_json` does. It has no text with U+0000.
fn print_string(text: &str, out: &mut String) -> Option<()> {
    if text.contains('\0') {
        return None;
    }
    out.push_str(&serde_json::to_string(text).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_come_back_as_jsonb_prints_them() {
        for text in [
            r#"{}"#,
            r#"[]"#,
            r#"{"b": 1, "aa": [true, false, null], "zzz": {"é": "\"\\\n\u0001/"}}"#,
            r#"[1.5, -0.001, 12345678901234567890123456789012345678, 100000]"#,
            "12",
            "true",
        ] {
            let document = to_document(text).unwrap_or_else(|| panic!("{text} is a document"));
            assert_eq!(to_text(&document).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_would_change_stays_text() {
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        for text in [
            "null",
            r#""text""#,
            "[1.50]",
            "[123456789012345678901234567890123456789]",
            r#"{"": 1}"#,
            r#"{"aa": 1, "b": 2}"#,
            r#"{"a":1}"#,
            r#"{"$serde_json::private::Number": "1"}"#,
            deep.as_str(),
            "not json",
        ] {
            assert_eq!(to_document(text), None, "{text}");
        }
    }

    #[test]
    fn json_text_is_told_from_other_text() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        for text in ["null", "\"x\"", " {\"a\" : 1.50} ", r#""\ud800""#, deep.as_str()] {
            assert!(is_text(text), "{text}");
        }
        for text in ["", "plain", "[1", "1 2"] {
            assert!(!is_text(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_document_is_its_text(text in document(4)) {
            if let Some(document) = to_document(&text) {
                prop_assert_eq!(to_text(&document).unwrap(), text);
            }
        }
    }

    fn document(depth: u32) -> BoxedStrategy<String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|flag| flag.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "[0-9]{1,20}\\.[0-9]{1,20}",
            "[a-zé\"\\\\\n]{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(depth, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6)
                    .prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec(("[a-c]{0,3}", inner), 0..6).prop_map(|members| {
                    let members: Vec<String> = members
                        .into_iter()
                        .map(|(name, member)| format!("\"{name}\": {member}"))
                        .collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
        .boxed()
    }
}
