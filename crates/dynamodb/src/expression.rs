//! Placeholders of expressions: a column may be called like one of DynamoDB's 573 reserved words,
//! so every name is a placeholder, and short ones, for an expression has at most 4 KB.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// Attribute names by placeholder.
type Names = HashMap<String, String>;
/// Attribute values by placeholder.
type Values = HashMap<String, AttributeValue>;

/// The names and values that a request's expressions stand for.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    names: HashMap<String, String>,
    values: Values,
}

impl Placeholders {
    /// The placeholder of an attribute's name, the same each time.
    pub(crate) fn name(&mut self, attribute: &str) -> String {
        let next = self.names.len();
        self.names.entry(attribute.to_owned()).or_insert_with(|| format!("#{next}")).clone()
    }

    /// A placeholder of a value.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// As requests carry them: DynamoDB refuses empty maps.
    pub(crate) fn into_maps(self) -> (Option<Names>, Option<Values>) {
        let names: Names = self
            .names
            .into_iter()
            .map(|(attribute, placeholder)| (placeholder, attribute))
            .collect();
        ((!names.is_empty()).then_some(names), (!self.values.is_empty()).then_some(self.values))
    }
}
