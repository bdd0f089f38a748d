//! A table's definition as PostgreSQL's catalogue gives it.

use std::fmt;

use crate::{Key, TypeInfo, Value};

/// One row: a value for each column, in the table's column order.
pub type Row = Vec<Value>;

/// A schema-qualified table name, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema, `public` for most.
    pub schema: String,
    /// The name in its schema.
    pub name: String,
}

impl TableName {
    /// A name from its two parts, unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The name as SQL, both parts quoted: `"public"."sessions"`.
    #[must_use]
    pub fn to_sql(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// An identifier as SQL, quoted (sql-syntax-lexical).
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What PostgreSQL puts into a column that an INSERT leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnDefault {
    /// NULL.
    None,
    /// An expression, an identity or a generated column: PostgreSQL computes it.
    Computed,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, unquoted.
    pub name: String,
    /// The type.
    pub ty: TypeInfo,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// What an INSERT that leaves the column out puts there.
    pub default: ColumnDefault,
    /// `GENERATED ALWAYS AS (…) STORED`: no statement may set it.
    pub generated: bool,
    /// Whether the order of its text is byte order (collation "C" or "POSIX"); true for types
    /// without collation.
    pub byte_ordered: bool,
    /// Whether equal means byte-equal (a deterministic collation); true for types without
    /// collation.
    pub deterministic: bool,
}

impl Column {
    /// The name as a quoted SQL identifier.
    #[must_use]
    pub fn to_sql(&self) -> String {
        quote_identifier(&self.name)
    }
}

/// A table with a primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Schema and name.
    pub name: TableName,
    /// `pg_class.oid`
    pub oid: u32,
    /// The columns, in `attnum` order without dropped ones.
    pub columns: Vec<Column>,
    /// Positions in `columns` of the primary key's columns, in the key's order. Never empty.
    pub primary_key: Vec<usize>,
    /// The name of the primary key's constraint, as errors name it.
    pub primary_key_name: String,
    /// Whether it has CHECK constraints or columns of a domain type: then PostgreSQL computes every
    /// written row.
    pub has_checks: bool,
    /// Of all that a written row is checked against: with another digest, rows that were made for
    /// this definition may be wrong.
    pub digest: String,
}

impl Table {
    /// Whether PostgreSQL computes every written row: it checks the row, or makes a part of it.
    #[must_use]
    pub fn computes_rows(&self) -> bool {
        self.has_checks || self.columns.iter().any(|column| column.generated)
    }

    /// The position of the column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The key's first column: DynamoDB's partition key.
    #[must_use]
    pub fn partition_column(&self) -> &Column {
        &self.columns[self.primary_key[0]]
    }

    /// The key's further columns: DynamoDB's sort key.
    pub fn sort_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.primary_key[1..].iter().map(|&position| &self.columns[position])
    }

    /// The key of a row.
    #[must_use]
    pub fn key_of(&self, row: &[Value]) -> Key {
        Key::new(self.primary_key.iter().map(|&position| row[position].clone()).collect())
    }

    /// Whether the column at `position` is part of the primary key.
    #[must_use]
    pub fn is_key(&self, position: usize) -> bool {
        self.primary_key.contains(&position)
    }
}
