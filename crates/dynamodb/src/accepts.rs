//! Which tables can live in DynamoDB.

use flywheel_store::{Layout, StoreError, StoreTable};
use flywheel_types::{Scalar, key_type_problem};

use crate::{client::DynamoStore, item::TTL_ATTRIBUTE, key::SORT_ATTRIBUTE};

impl DynamoStore {
    pub(crate) fn check_definition(&self, table: &StoreTable) -> Result<(), StoreError> {
        match self.problem(table) {
            Some(what) => Err(StoreError::Unsupported { what }),
            None => Ok(()),
        }
    }

    fn problem(&self, table: &StoreTable) -> Option<String> {
        let definition = &table.table;
        let mut key = definition.primary_key.iter().map(|&position| &definition.columns[position]);
        if let Some((column, problem)) = key.find_map(|column| Some((column, key_type_problem(column)?))) {
            return Some(format!("column \"{}\" {problem}", column.name));
        }
        if table.layout != Layout::Hash {
            return Some(format!(
                "{} has the layout of a sorted set, which DynamoDB hasn't; give it a sort key in the order that is wanted",
                definition.name
            ));
        }
        if let Some(name) = [TTL_ATTRIBUTE, SORT_ATTRIBUTE]
            .into_iter()
            .find(|name| definition.column(name).is_some())
        {
            return Some(format!(
                "column \"{name}\" has the name of an attribute that Flywheel keeps for itself in DynamoDB"
            ));
        }
        if let Some(column) = table.expires_at.map(|position| &definition.columns[position])
            && column.ty.scalar != Scalar::Timestamptz
        {
            return Some(format!(
                "column \"{}\" is {}; rows can only expire by a timestamptz",
                column.name, column.ty.name
            ));
        }
        let name = self.table_name(table);
        let allowed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !allowed || !(3..=255).contains(&name.len()) {
            return Some(format!(
                "\"{name}\" can't be the name of a table in DynamoDB, which has 3 to 255 letters, digits, _, - and .; configure another"
            ));
        }
        None
    }
}
