//! Which tables can live in DynamoDB.

use flywheel_store::{Layout, StoreError, StoreTable};
use flywheel_types::{Scalar, key_type_problem};

use crate::{
    client::DynamoStore,
    index,
    item::TTL_ATTRIBUTE,
    key::SORT_ATTRIBUTE,
    lock::{ABSENT_ATTRIBUTE, LOCK_ATTRIBUTE},
};

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
        if let Some((column, problem)) =
            key.find_map(|column| Some((column, key_type_problem(column)?)))
        {
            return Some(format!("column \"{}\" {problem}", column.name));
        }
        if table.layout != Layout::Hash {
            return Some(format!(
                "{} has the layout of a sorted set, which DynamoDB hasn't; give it a sort key in the order that is wanted",
                definition.name
            ));
        }
        if let Some(name) = [TTL_ATTRIBUTE, SORT_ATTRIBUTE, LOCK_ATTRIBUTE, ABSENT_ATTRIBUTE]
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
        if let Err(StoreError::Unsupported { what }) = table.check_indexes() {
            return Some(what);
        }
        if let Some(problem) = index::problem(table) {
            return Some(problem);
        }
        let name = self.table_name(table);
        let allowed =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !allowed || !(3..=255).contains(&name.len()) {
            return Some(format!(
                "\"{name}\" can't be the name of a table in DynamoDB, which has 3 to 255 letters, digits, _, - and .; configure another"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flywheel_types::oid;

    use super::*;
    use crate::{
        Options,
        test_tables::{column, history, table},
    };

    async fn problem(table: &StoreTable) -> Option<String> {
        let options = Options {
            region: Some("eu-central-1".to_owned()),
            endpoint: None,
            table_prefix: String::new(),
            timeout: Duration::from_secs(1),
            credentials: Some(("a".to_owned(), "b".to_owned())),
        };
        DynamoStore::connect(options).await.problem(table)
    }

    #[tokio::test]
    async fn what_doesnt_fit_is_said() {
        assert_eq!(problem(&history()).await, None);
        let keyed_by = |type_oid| {
            table(
                vec![column("k", type_oid, -1), column("flywheel_ttl", oid::INT8, -1)],
                vec![0],
                None,
            )
        };
        assert!(
            problem(&keyed_by(oid::FLOAT8))
                .await
                .is_some_and(|what| what.contains("column \"k\" is a floating-point number"))
        );
        assert!(
            problem(&keyed_by(oid::TEXT))
                .await
                .is_some_and(|what| what.contains("\"flywheel_ttl\""))
        );
        let sorted = StoreTable { layout: Layout::SortedSet { score: 3 }, ..history() };
        assert!(problem(&sorted).await.is_some_and(|what| what.contains("sorted set")));
        let named = StoreTable { physical_name: "öffentlich".to_owned(), ..history() };
        assert!(problem(&named).await.is_some_and(|what| what.contains("letters, digits")));
        let expiring = StoreTable { expires_at: Some(2), ..history() };
        assert!(problem(&expiring).await.is_some_and(|what| what.contains("timestamptz")));
    }
}
