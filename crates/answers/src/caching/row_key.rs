//! The one row that a statement is about.

use std::collections::HashSet;

use flywheel_cache::row;
use flywheel_plan::Parameters;
use flywheel_postgres::dependencies::KeyColumn;
use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Comparison, Constant, Fact, InsertValue, Relation, Shape, Statement};
use flywheel_types::{Scalar, TypeInfo, Value, text};

/// The key's columns with the constants that they are compared with, or set to.
#[derive(Debug, Clone)]
pub(super) struct RowKey {
    columns: Vec<(Constant, TypeInfo)>,
    /// Parameters that stand in one place only, so that PostgreSQL takes them to be of the column's
    /// type unless the client says otherwise.
    once: HashSet<usize>,
}

impl RowKey {
    /// The key that `WHERE column = constant` gives.
    pub(super) fn compared(
        relation: &Relation,
        key: &[KeyColumn],
        statement: &Statement,
        text: &str,
    ) -> Option<Self> {
        Self::of(key, statement, text, |column| {
            relation.conjuncts.iter().find_map(|conjunct| match &conjunct.fact {
                Fact::Compare(name, Comparison::Equal, constant) => {
                    let is_own = match &name.qualifier {
                        Some(qualifier) => qualifier == relation.qualifier(),
                        None => relation.alone,
                    };
                    (is_own && name.name == column && !relation.renames_columns)
                        .then(|| constant.clone())
                }
                _ => None,
            })
        })
    }

    /// The keys of the rows that an INSERT makes.
    pub(super) fn inserted(
        shape: Option<&Shape>,
        key: &[KeyColumn],
        statement: &Statement,
        text: &str,
    ) -> Option<Vec<Self>> {
        let Some(Shape::Insert(insert)) = shape else { return None };
        let columns = insert.columns.as_ref()?;
        let of_row = |row: &Vec<InsertValue>| {
            Self::of(key, statement, text, |column| {
                let at = columns.iter().position(|each| each == column)?;
                match row.get(at)? {
                    InsertValue::Constant(constant) => Some(constant.clone()),
                    InsertValue::Default => None,
                }
            })
        };
        insert.rows.iter().map(of_row).collect()
    }

    fn of(
        key: &[KeyColumn],
        statement: &Statement,
        text: &str,
        constant: impl Fn(&str) -> Option<Constant>,
    ) -> Option<Self> {
        if key.is_empty() {
            return None;
        }
        let columns = key.iter().map(|column| {
            let ty = exact(column)?;
            Some((constant(&column.name)?, ty))
        });
        let mut seen = HashSet::new();
        let mut twice = HashSet::new();
        for token in statement.tokens.iter().filter(|token| token.kind == TokenKind::Parameter) {
            let number: usize = text[token.range.start + 1..token.range.end].parse().ok()?;
            // There is no `$0`, which PostgreSQL will say.
            let place = number.checked_sub(1)?;
            if !seen.insert(place) {
                twice.insert(place);
            }
        }
        Some(Self {
            columns: columns.collect::<Option<_>>()?,
            once: seen.difference(&twice).copied().collect(),
        })
    }

    /// The row's number. `None`: it can't be told which row it is.
    pub(super) fn resolve(&self, parameters: &Parameters<'_>) -> Option<u64> {
        let mut types = parameters.types.to_vec();
        types.resize(parameters.values.len().max(types.len()), 0);
        for (constant, ty) in &self.columns {
            if let Constant::Parameter(position) = constant
                && self.once.contains(position)
                && let Some(unknown @ 0) = types.get_mut(*position)
            {
                *unknown = ty.oid;
            }
        }
        let parameters = Parameters { types: &types, ..*parameters };
        number(self.columns.iter().map(|(constant, ty)| parameters.resolve_key(constant, ty)))
    }
}

/// The row's number, by the values of its key as PostgreSQL writes them.
pub(super) fn told<'t>(
    key: &[KeyColumn],
    text_of: impl Fn(&str) -> Option<&'t str>,
) -> Option<u64> {
    if key.is_empty() {
        return None;
    }
    number(key.iter().map(|column| text::decode(&exact(column)?, text_of(&column.name)?)))
}

/// The type of a key's column, if equal values of it are the same, and it changes nothing of what
/// is put into it.
fn exact(column: &KeyColumn) -> Option<TypeInfo> {
    let ty = TypeInfo::new(column.type_oid, column.typmod, "");
    let is_exact = matches!(
        ty.scalar,
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Text | Scalar::Uuid
    ) || ty.scalar == Scalar::Varchar(None) && column.typmod == -1;
    (is_exact && column.is_plain).then_some(ty)
}

fn number(values: impl Iterator<Item = Option<Value>>) -> Option<u64> {
    let mut key = Vec::new();
    for value in values {
        let value = value.filter(|value| *value != Value::Null)?;
        let start = key.len();
        text::encode(&value, &mut key);
        let length = key.len() - start;
        key.extend_from_slice(&length.to_be_bytes());
    }
    Some(row(&key))
}
