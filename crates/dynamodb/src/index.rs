//! Secondary indexes: made with their table, found in its description, compared with the
//! configuration.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, GlobalSecondaryIndex, IndexStatus, KeySchemaElement, KeyType,
        LocalSecondaryIndex, Projection, ProjectionType, ScalarAttributeType, TableDescription,
    },
};
use flywheel_store::{Index, StoreError, StoreTable};
use flywheel_types::{Column, Table, key_type_problem};

use crate::{admin::key_type, client::DynamoStore, error::incomplete, key};

impl DynamoStore {
    /// The indexes of the table that can be read now: those that it names, or all.
    pub(crate) async fn indexes_of(
        &self,
        table: &StoreTable,
        listed: bool,
    ) -> Result<Vec<Index>, StoreError> {
        let name = self.table_name(table);
        let Some(description) = self.describe_table(&name).await? else {
            return Err(StoreError::NoSuchTable { name });
        };
        let found = described(&description).into_iter().filter(|found| found.is_active);
        let found = found.filter_map(|found| found.index(table));
        if !listed {
            return Ok(found.collect());
        }
        let as_listed = |found: Index| {
            let wanted = table.indexes.iter().find(|wanted| wanted.name == found.name)?;
            let is_same =
                wanted.columns == found.columns && wanted.is_eventual == found.is_eventual;
            is_same.then_some(Index { consistent_read: wanted.consistent_read, ..found })
        };
        Ok(found.filter_map(as_listed).collect())
    }
}

/// Why DynamoDB can't have one of the table's indexes.
pub(crate) fn problem(table: &StoreTable) -> Option<String> {
    table.indexes.iter().find_map(|index| {
        let name = &index.name;
        let allowed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !allowed || !(3..=255).contains(&name.len()) {
            return Some(format!(
                "\"{name}\" can't be the name of an index in DynamoDB, which has 3 to 255 letters, digits, _, - and ."
            ));
        }
        if index.columns.len() > 2 {
            return Some(format!(
                "index \"{name}\" has {} columns; in DynamoDB it has a partition key and at most \
                 one sort key",
                index.columns.len()
            ));
        }
        let key = &table.table.primary_key;
        let is_beside_rows =
            index.columns.len() == 2 && key.len() > 1 && index.columns[0] == key[0];
        if !index.is_eventual && !is_beside_rows {
            return Some(format!(
                "index \"{name}\" can't be local: a local index has the first of several key columns \
                 and another column"
            ));
        }
        None
    })
}

/// The request with the table's indexes, and the attributes that only they are over.
pub(crate) fn with_indexes(
    table: &StoreTable,
    mut request: CreateTableFluentBuilder,
) -> Result<CreateTableFluentBuilder, StoreError> {
    let mut defined: Vec<&str> =
        key::attributes(&table.table).iter().map(|attribute| attribute.name).collect();
    for index in &table.indexes {
        for column in columns(&table.table, index) {
            if !defined.contains(&column.name.as_str()) {
                defined.push(&column.name);
                let definition = AttributeDefinition::builder()
                    .attribute_name(&column.name)
                    .attribute_type(key::attribute_type(column))
                    .build();
                request =
                    request.attribute_definitions(definition.map_err(|error| incomplete(&error))?);
            }
        }
        let schema = schema(&table.table, index)?;
        let whole = Projection::builder().projection_type(ProjectionType::All).build();
        request = if index.is_eventual {
            let index = GlobalSecondaryIndex::builder()
                .index_name(&index.name)
                .set_key_schema(Some(schema))
                .projection(whole)
                .build();
            request.global_secondary_indexes(index.map_err(|error| incomplete(&error))?)
        } else {
            let index = LocalSecondaryIndex::builder()
                .index_name(&index.name)
                .set_key_schema(Some(schema))
                .projection(whole)
                .build();
            request.local_secondary_indexes(index.map_err(|error| incomplete(&error))?)
        };
    }
    Ok(request)
}

fn columns<'t>(table: &'t Table, index: &'t Index) -> impl Iterator<Item = &'t Column> {
    index.columns.iter().map(|&position| &table.columns[position])
}

fn schema(table: &Table, index: &Index) -> Result<Vec<KeySchemaElement>, StoreError> {
    let parts = [key::Part::Partition, key::Part::Sort];
    columns(table, index)
        .zip(parts)
        .map(|(column, part)| {
            let element =
                KeySchemaElement::builder().attribute_name(&column.name).key_type(key_type(part));
            element.build().map_err(|error| incomplete(&error))
        })
        .collect()
}

/// How the table's indexes differ from those in DynamoDB, a sentence each.
pub(crate) fn differences(table: &StoreTable, description: &TableDescription) -> Vec<String> {
    let found = described(description);
    let problem = |wanted: &Index| {
        let name = &wanted.name;
        let kind = |is_eventual| if is_eventual { "global" } else { "local" };
        let Some(found) = found.iter().find(|found| found.name == *name) else {
            return Some(format!("there is no index \"{name}\", which the configuration lists"));
        };
        let has = printed(found.key.iter().map(|(name, ty)| (name.as_str(), ty.as_ref())));
        let types: Vec<_> = columns(&table.table, wanted)
            .map(|column| (column.name.as_str(), key::attribute_type(column)))
            .collect();
        let wants = printed(types.iter().map(|(name, ty)| (*name, Some(ty))));
        if has != wants {
            return Some(format!(
                "index \"{name}\" is over {has}, where the configuration and the definition have {wants}"
            ));
        }
        if found.is_eventual != wanted.is_eventual {
            return Some(format!(
                "index \"{name}\" is {}, where the configuration has kind = \"{}\"",
                kind(found.is_eventual),
                kind(wanted.is_eventual)
            ));
        }
        (!found.is_active).then(|| format!("index \"{name}\" is still being made"))
    };
    table.indexes.iter().filter_map(problem).collect()
}

fn printed<'a>(key: impl Iterator<Item = (&'a str, Option<&'a ScalarAttributeType>)>) -> String {
    let parts: Vec<_> = key
        .map(|(name, ty)| format!("\"{name}\" ({})", ty.map_or("?", ScalarAttributeType::as_str)))
        .collect();
    parts.join(", ")
}

/// An index as DynamoDB describes it.
struct Described {
    name: String,
    /// Names and types of its key's attributes, the partition key first.
    key: Vec<(String, Option<ScalarAttributeType>)>,
    is_eventual: bool,
    is_active: bool,
    /// The attributes that it holds beside the keys; `None`: all.
    projected: Option<Vec<String>>,
}

impl Described {
    /// The index over the definition's columns; `None` where a part of its key isn't one of them,
    /// or is of another type.
    fn index(self, table: &StoreTable) -> Option<Index> {
        let definition = &table.table;
        let column = |(name, ty): &(String, Option<ScalarAttributeType>)| {
            let position = definition.column(name)?;
            let column = &definition.columns[position];
            (key_type_problem(column).is_none()
                && ty.as_ref() == Some(&key::attribute_type(column)))
            .then_some(position)
        };
        let columns = self.key.iter().map(column).collect::<Option<Vec<_>>>()?;
        let projected = self.projected.map(|names| {
            // Of a key of more columns the item has one attribute for all but the first.
            let key = if definition.primary_key.len() > 2 {
                &definition.primary_key[..1]
            } else {
                &definition.primary_key[..]
            };
            let beside = key.iter().chain(&columns).copied();
            beside.chain(names.iter().filter_map(|name| definition.column(name))).collect()
        });
        Some(Index {
            name: self.name,
            columns,
            is_eventual: self.is_eventual,
            consistent_read: table.consistent_read,
            projected,
        })
    }
}

fn described(description: &TableDescription) -> Vec<Described> {
    let types: HashMap<&str, &ScalarAttributeType> = description
        .attribute_definitions()
        .iter()
        .map(|definition| (definition.attribute_name(), definition.attribute_type()))
        .collect();
    let key = |schema: &[KeySchemaElement]| {
        let mut parts: Vec<_> = schema.iter().collect();
        parts.sort_by_key(|element| *element.key_type() != KeyType::Hash);
        let part = |element: &&KeySchemaElement| {
            let name = element.attribute_name();
            (name.to_owned(), types.get(name).map(|&ty| ty.clone()))
        };
        parts.iter().map(part).collect()
    };
    let projected = |projection: Option<&Projection>| match projection {
        Some(projection) if projection.projection_type() == Some(&ProjectionType::All) => None,
        Some(projection) => Some(projection.non_key_attributes().to_vec()),
        None => Some(Vec::new()),
    };
    let global = description.global_secondary_indexes().iter().map(|index| Described {
        name: index.index_name().unwrap_or_default().to_owned(),
        key: key(index.key_schema()),
        is_eventual: true,
        // An emulator may say nothing of it.
        is_active: index.index_status().is_none_or(|status| *status == IndexStatus::Active),
        projected: projected(index.projection()),
    });
    let local = description.local_secondary_indexes().iter().map(|index| Described {
        name: index.index_name().unwrap_or_default().to_owned(),
        key: key(index.key_schema()),
        is_eventual: false,
        is_active: true,
        projected: projected(index.projection()),
    });
    global.chain(local).collect()
}
