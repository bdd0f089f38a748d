//! Conditions and expressions.

use super::kind::{Family, Kind};
use super::table::{Column, Table};
use super::writer::Writer;

/// A table in FROM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) table: &'a Table,
    pub(super) alias: &'static str,
}

impl<'a> Source<'a> {
    pub(super) fn column(self, column: &Column) -> String {
        if self.alias.is_empty() {
            column.name.clone()
        } else {
            format!("{}.{}", self.alias, column.name)
        }
    }

    /// The columns of the key, qualified.
    pub(super) fn key(self) -> Vec<String> {
        self.table.key().iter().map(|column| self.column(column)).collect()
    }

    /// `table alias`
    pub(super) fn reference(self) -> String {
        format!("{} {}", self.table.name, self.alias).trim_end().to_owned()
    }

    pub(super) fn any(self, writer: &mut Writer<'_>) -> &'a Column {
        let all: Vec<_> = self.table.columns.iter().collect();
        writer.pick(&all)
    }
}

impl Writer<'_> {
    /// Equality of all columns of the key with constants.
    pub(super) fn whole_key(&mut self, source: Source<'_>) -> String {
        let equal: Vec<_> = source
            .table
            .key()
            .iter()
            .map(|column| {
                let value = if self.chance(85) {
                    self.value(column.kind)
                } else {
                    self.comparable(column.kind)
                };
                if self.chance(10) {
                    format!("{value} = {}", source.column(column))
                } else {
                    format!("{} = {value}", source.column(column))
                }
            })
            .collect();
        equal.join(" AND ")
    }

    /// A condition on the first columns of the key: a list of keys, or a range of one partition.
    pub(super) fn part_of_key(&mut self, source: Source<'_>) -> String {
        let first = &source.table.key()[0];
        let name = source.column(first);
        let Some(second) = source.table.key().get(1).filter(|_| self.chance(75)) else {
            let values: Vec<_> = (0..self.number(1, 4)).map(|_| self.value(first.kind)).collect();
            return match self.number(0, 3) {
                0 => format!("{name} = {}", self.comparable(first.kind)),
                1 => {
                    let values: Vec<_> = (0..2)
                        .map(|_| {
                            format!(
                                "{}::{}",
                                super::writer::quoted(self.plain(first.kind)),
                                first.kind.cast
                            )
                        })
                        .collect();
                    format!("{name} = ANY (ARRAY[{}])", values.join(", "))
                }
                _ => format!("{name} IN ({})", values.join(", ")),
            };
        };
        let partition = self.value(first.kind);
        let range = self.comparison(source, second);
        format!("{name} = {partition} AND {range}")
    }

    /// A comparison of a column with a constant.
    pub(super) fn comparison(&mut self, source: Source<'_>, column: &Column) -> String {
        let (name, kind) = (source.column(column), column.kind);
        if !kind.is_ordered {
            return format!("{name} IS {}NULL", self.pick(&["", "NOT "]));
        }
        match self.number(0, 11) {
            0 => format!("{name} IS {}NULL", self.pick(&["", "NOT "])),
            1 => {
                let (low, high) = (self.comparable(kind), self.comparable(kind));
                format!("{name} {}BETWEEN {low} AND {high}", self.pick(&["", "", "NOT "]))
            }
            2 => format!(
                "{name} IS {}DISTINCT FROM {}",
                self.pick(&["", "NOT "]),
                self.value_or_null(kind)
            ),
            3 if kind.family == Family::Text => {
                format!("{name} LIKE {}", self.pick(&["'a%'", "'%a'", "'_'", "''", "'%\\%%'"]))
            }
            3 if kind.family == Family::Bool => format!("{}{name}", self.pick(&["", "NOT "])),
            4 => {
                let values: Vec<_> =
                    (0..self.number(1, 3)).map(|_| self.value_or_null(kind)).collect();
                format!("{name} {}IN ({})", self.pick(&["", "", "NOT "]), values.join(", "))
            }
            5 => {
                let value = self.comparable(kind);
                format!("{value} {} {name}", self.pick(&["<", ">", "<=", ">=", "=", "<>"]))
            }
            _ => {
                let value = self.comparable(kind);
                format!("{name} {} {value}", self.pick(&["<", ">", "<=", ">=", "=", "=", "<>"]))
            }
        }
    }

    /// Any condition.
    pub(super) fn condition(&mut self, source: Source<'_>) -> String {
        match self.number(0, 9) {
            0 => {
                let (left, right) = (self.simple(source), self.simple(source));
                format!("({left} OR {right})")
            }
            1 => format!("NOT ({})", self.simple(source)),
            2 => {
                let (left, right) = (self.simple(source), self.simple(source));
                format!("{left} AND {right}")
            }
            3 => format!("coalesce({}, false)", self.simple(source)),
            _ => self.simple(source),
        }
    }

    fn simple(&mut self, source: Source<'_>) -> String {
        let column = source.any(self);
        self.comparison(source, column)
    }

    /// A condition for a read or a write: of the key mostly, with more behind it now and then.
    pub(super) fn filter(&mut self, source: Source<'_>) -> String {
        let first = match self.number(0, 9) {
            0..4 => self.whole_key(source),
            4..7 => self.part_of_key(source),
            _ => self.condition(source),
        };
        if self.chance(30) {
            let more = self.condition(source);
            return if self.chance(80) {
                format!("{first} AND {more}")
            } else {
                format!("({first}) OR {more}")
            };
        }
        first
    }

    /// An expression of this type over one row.
    pub(super) fn expression(&mut self, source: Source<'_>, kind: &'static Kind) -> String {
        let same: Vec<_> =
            source.table.columns.iter().filter(|column| column.kind == kind).collect();
        let Some(column) = (!same.is_empty()).then(|| source.column(self.pick(&same))) else {
            return self.value_or_null(kind);
        };
        match (kind.family, self.number(0, 6)) {
            // None that fails: which rows an expression is computed for is left open where a LIMIT
            // stands.
            (Family::Number, 0) if kind.is_whole() => format!("{column} % 10 + 1"),
            (Family::Number, 1) if kind.is_whole() => format!("abs({column} / 2)"),
            (Family::Number, 0..3) => format!("abs({column} * 0.5)"),
            (Family::Text, 0) => format!("upper({column})"),
            (Family::Text, 1) => format!("{column} || 'x'"),
            (Family::Text, 2) => format!("left({column}, 2)"),
            (Family::Bool, 0 | 1) => format!("NOT {column}"),
            (_, 3) => {
                // Not NULL: a text's and a plan's modifier of that aren't the same.
                let value = self.value(kind);
                format!("coalesce({column}, {value})")
            }
            (_, 4) => {
                let condition = self.condition(source);
                let value = self.value_or_null(kind);
                format!("CASE WHEN {condition} THEN {value} ELSE {column} END")
            }
            (_, 5) => self.value_or_null(kind),
            _ => column,
        }
    }
}
