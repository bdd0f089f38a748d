//! The store: each read reads the table's file whole.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use async_trait::async_trait;
use flywheel_store::{KeyRange, Operation, Store, StoreError, StoreTable, text_row};
use flywheel_types::{Key, Row, Scalar, Value, key_type_problem, text};

use crate::kind::Separator;
use crate::record::{Field, records};

/// The files of a folder.
#[derive(Debug)]
pub(crate) struct CsvStore {
    folder: PathBuf,
}

impl CsvStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, table: &StoreTable) -> PathBuf {
        self.folder.join(format!("{}.csv", table.physical_name))
    }

    /// All rows.
    async fn rows(&self, table: &StoreTable) -> Result<Vec<Row>, StoreError> {
        let path = self.path(table);
        let read = tokio::task::spawn_blocking(|| std::fs::read_to_string(path)).await;
        let read = read.unwrap_or_else(|error| Err(error.into()));
        let content = read.map_err(|error| match error.kind() {
            ErrorKind::NotFound => StoreError::NoSuchTable { name: table.physical_name.clone() },
            ErrorKind::PermissionDenied => StoreError::Forbidden { reason: error.to_string() },
            ErrorKind::InvalidData => StoreError::Refused { reason: error.to_string() },
            _ => StoreError::Unavailable { reason: error.to_string() },
        })?;
        let separator = table.own.get::<Separator>().map_or(b',', |separator| separator.0);
        let all = records(&content, separator).map_err(|(line, what)| StoreError::Refused {
            reason: format!("{} line {line}: {what}", self.path(table).display()),
        })?;
        let Some((header, records)) = all.split_first() else { return Ok(Vec::new()) };
        let places = places(table, header)?;
        let mut keys = HashSet::new();
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let row = row(table, &places, record)?;
            if !keys.insert(table.table.key_of(&row)) {
                let key = text_row::print_key(&table.table.key_of(&row));
                return Err(StoreError::Refused {
                    reason: format!("{} has row {key} twice", self.path(table).display()),
                });
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// Where each column of the table stands in a record.
fn places(table: &StoreTable, header: &[Field]) -> Result<Vec<usize>, StoreError> {
    let place = |column: &flywheel_types::Column| {
        let is_column = |name: &Field| name.as_deref() == Some(column.name.as_str());
        header.iter().position(is_column).ok_or_else(|| StoreError::Refused {
            reason: format!("the file of {} has no column {}", table.physical_name, column.name),
        })
    };
    table.table.columns.iter().map(place).collect()
}

fn row(table: &StoreTable, places: &[usize], record: &[Field]) -> Result<Row, StoreError> {
    let key = || {
        let fields = table.table.primary_key.iter().map(|&position| record.get(places[position]));
        let texts = fields.map(|field| field.cloned().flatten().unwrap_or_default());
        texts.collect::<Vec<_>>().join(", ")
    };
    let value = |(column, &place): (&flywheel_types::Column, &usize)| {
        let value = match record.get(place).and_then(Option::as_deref) {
            None => Value::Null,
            Some(field) => {
                text::decode(&column.ty, field).ok_or_else(|| StoreError::Malformed {
                    key: key(),
                    attribute: column.name.clone(),
                    expected: column.ty.name.clone(),
                })?
            }
        };
        if value.is_null() && column.not_null {
            return Err(StoreError::Missing { key: key(), attribute: column.name.clone() });
        }
        Ok(value)
    };
    table.table.columns.iter().zip(places).map(value).collect()
}

#[async_trait]
impl Store for CsvStore {
    fn kind(&self) -> &'static str {
        "CSV"
    }

    fn has_typed_values(&self) -> bool {
        true
    }

    fn accepts(&self, table: &StoreTable) -> Result<(), StoreError> {
        let definition = &table.table;
        let refuse = |column: usize, why: &str| {
            let column = &definition.columns[column].name;
            let what = format!("column \"{column}\" of table \"{}\" {why}", definition.name);
            Err(StoreError::Unsupported { what })
        };
        for (position, column) in definition.columns.iter().enumerate() {
            // Types whose every text means what PostgreSQL would read from it.
            if !matches!(
                column.ty.scalar,
                Scalar::Bool | Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Text
            ) {
                return refuse(position, "is neither an integer, nor boolean, nor text");
            }
        }
        for &position in &definition.primary_key {
            if let Some(problem) = key_type_problem(&definition.columns[position]) {
                return refuse(position, problem);
            }
        }
        match table.expires_at {
            Some(position) => refuse(position, "can't be expires_at, since no line expires"),
            None => Ok(()),
        }
    }

    fn describe(&self, operation: Operation, table: &StoreTable) -> String {
        let what = match operation {
            Operation::Get | Operation::GetMany => "lines by key",
            Operation::Range => "range of lines",
            _ => "all lines",
        };
        format!("{what} of {}.csv", table.physical_name)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let folder = std::fs::read_dir(&self.folder);
        folder.map(drop).map_err(|error| StoreError::Unavailable { reason: error.to_string() })
    }

    async fn check_table(&self, table: &StoreTable) -> Result<Vec<String>, StoreError> {
        match self.rows(table).await {
            Ok(_) => Ok(Vec::new()),
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Forbidden { .. })) => {
                Err(error)
            }
            Err(error) => Ok(vec![error.to_string()]),
        }
    }

    async fn get(&self, table: &StoreTable, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let rows = self.rows(table).await?;
        let find = |key: &Key| rows.iter().find(|row| table.table.key_of(row) == *key).cloned();
        Ok(keys.iter().map(find).collect())
    }

    async fn range(
        &self,
        table: &StoreTable,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let columns = table.order_columns(None);
        let mut rows = self.rows(table).await?;
        rows.retain(|row| range.contains(columns, row));
        rows.sort_by_cached_key(|row| KeyRange::sort_key(columns, row));
        if range.descending {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    async fn scan(&self, table: &StoreTable, limit: usize) -> Result<Vec<Row>, StoreError> {
        table.check_scan()?;
        let rows = self.rows(table).await?;
        if rows.len() > limit {
            return Err(StoreError::TooManyRows { limit });
        }
        Ok(rows)
    }

    async fn some(&self, table: &StoreTable, limit: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let mut rows = self.rows(table).await?;
        rows.truncate(limit);
        Ok(Some(rows))
    }
}
