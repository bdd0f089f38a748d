//! What bounds the rows of the relations in a FROM that can matter to the result: WHERE, joins, and the queries around it.

use sqlparser::ast::{
    Delete, Expr, FromTable, Join, JoinConstraint, JoinOperator, Merge, MergeClauseKind, TableFactor, TableWithJoins, Update,
    UpdateTableFromKind,
};

use crate::condition::{ColumnRef, Conjunct, Fact, conjuncts, same};
use crate::finder::{Context, Finder, From};
use crate::join::{alias_name, join_conditions, qualifier};
use crate::member;
use crate::relation::Place;

impl Finder<'_> {
    pub(crate) fn update(&mut self, update: &Update) {
        let mut filter = Vec::new();
        if let Some(selection) = &update.selection {
            conjuncts(selection, &mut filter);
        }
        if let TableFactor::Table { name, .. } = &update.table.relation {
            self.target(name);
        }
        let from = match &update.from {
            Some(UpdateTableFromKind::AfterSet(tables) | UpdateTableFromKind::BeforeSet(tables)) => &tables[..],
            None => &[],
        };
        self.enter_from(std::iter::once(&update.table).chain(from).collect(), &filter);
    }

    pub(crate) fn delete(&mut self, delete: &Delete) {
        let mut filter = Vec::new();
        if let Some(selection) = &delete.selection {
            conjuncts(selection, &mut filter);
        }
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        if let [
            TableWithJoins {
                relation: TableFactor::Table { name, .. },
                ..
            },
        ] = &from[..]
        {
            self.target(name);
        } else if !matches!(&from[..], [item] if is_view(&item.relation)) {
            self.lost = true;
        }
        self.enter_from(from.iter().chain(delete.using.iter().flatten()).collect(), &filter);
    }

    /// MERGE is an outer join of its source with its target: rows of the target that match nothing don't matter, unless it says what becomes of them.
    pub(crate) fn merge(&mut self, merge: &Merge) {
        match &merge.table {
            TableFactor::Table { name, .. } => self.target(name),
            factor => self.lost |= !is_view(factor),
        }
        let on = JoinConstraint::On(Expr::clone(&merge.on));
        let by_source = merge
            .clauses
            .iter()
            .any(|clause| clause.clause_kind == MergeClauseKind::NotMatchedBySource);
        let join = Join {
            relation: merge.table.clone(),
            global: false,
            join_operator: if by_source {
                JoinOperator::FullOuter(on)
            } else {
                JoinOperator::LeftOuter(on)
            },
        };
        let item = TableWithJoins {
            relation: merge.source.clone(),
            joins: vec![join],
        };
        self.enter_from(vec![&item], &[]);
    }

    /// Begins a FROM with these names in it; `None`: not all are known.
    pub(crate) fn open_from(&mut self, names: Option<Vec<String>>) -> usize {
        let from = self.froms.len();
        self.froms.push(From {
            parent: self.levels.last().copied(),
            is_known: names.is_some(),
            names: names.unwrap_or_default(),
        });
        self.levels.push(from);
        from
    }

    /// Notes what `column IN (SELECT inner …)` implies for the rows of the subquery: those with other values don't matter. `only` is what a column
    /// without a qualifier belongs to.
    fn imply(&mut self, conditions: &[Conjunct], only: Option<String>) {
        for condition in conditions {
            if let Fact::Member {
                column,
                inner,
                relation,
                row_by_row: Some(names),
            } = &condition.fact
            {
                let qualifier = column.qualifier.clone().or_else(|| only.clone());
                // A name that means something else in there can't be used.
                let Some(qualifier) = qualifier.filter(|qualifier| !names.contains(qualifier)) else {
                    continue;
                };
                let column = ColumnRef {
                    qualifier: Some(qualifier),
                    name: column.name.clone(),
                };
                self.implied.entry(*relation).or_default().push(same(inner.clone(), column));
            }
        }
    }

    /// Notes for each table of a FROM list what bounds its rows: the conditions of WHERE, and of those joins
    /// that can't bring a row of it into the result without holding.
    pub(crate) fn enter_from(&mut self, items: Vec<&TableWithJoins>, filter: &[Conjunct]) {
        let names = items
            .iter()
            .map(|item| member::names(std::slice::from_ref(*item)))
            .collect::<Option<Vec<_>>>();
        let from = self.open_from(names.map(|names| names.concat()));
        let alone = matches!(items[..], [only] if only.joins.is_empty());
        for item in items {
            self.enter_item(item, from, alone, filter);
        }
    }

    fn enter_item(&mut self, item: &TableWithJoins, from: usize, alone: bool, filter: &[Conjunct]) {
        for position in 0..=item.joins.len() {
            let factor = if position == 0 {
                &item.relation
            } else {
                &item.joins[position - 1].relation
            };
            // As PostgreSQL prints the joins of a view. What is joined with it says nothing here of its rows.
            if let TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } = factor
            {
                self.enter_item(table_with_joins, from, false, filter);
                continue;
            }
            if let TableFactor::Derived {
                subquery,
                alias: Some(alias),
                ..
            } = factor
                && alias.columns.is_empty()
            {
                let mut bounds = filter.to_vec();
                bounds.extend(join_conditions(item, position));
                for (place, condition) in member::within(subquery, &alias_name(alias), alone, &bounds) {
                    self.implied.entry(place).or_default().push(condition);
                }
            }
            let TableFactor::Table {
                name,
                alias,
                args: None,
                sample,
                ..
            } = factor
            else {
                continue;
            };
            // Only a table can be sampled, not rows in its place.
            self.lost |= sample.is_some();
            let mut bounds = filter.to_vec();
            bounds.extend(join_conditions(item, position));
            self.imply(&bounds, if alone { qualifier(factor) } else { None });
            bounds.extend(Place::of(name).and_then(|place| self.implied.remove(&place)).into_iter().flatten());
            let renames_columns = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
            self.context(
                name,
                Context {
                    from,
                    alias: alias.as_ref().map(alias_name),
                    renames_columns,
                    conjuncts: bounds,
                    alone,
                    inserted: false,
                },
            );
        }
    }
}

/// Whether a statement's target is a view, in whose place its query stands: PostgreSQL knows no other.
fn is_view(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Derived { .. })
}
