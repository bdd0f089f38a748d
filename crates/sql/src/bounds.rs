//! What bounds the rows of the relations in a FROM that can matter to the result: WHERE, joins, and
//! the queries around it.

use crate::condition::{Conjunct, conjuncts, same};
use crate::fact::{ColumnRef, Fact};
use crate::finder::{Context, Finder, From};
use crate::join::{join_conditions, qualifier};
use crate::member;
use crate::name::Place;
use crate::syntax::{
    Factor, Item, Join, Kind, Node, On, Side, alias, condition, factor, item, items, named,
};

/// How many things may stand in a FROM: each is looked at beside all others.
const MOST_ITEMS: usize = 250;
/// How many conditions are kept for all of a FROM.
const MOST_CONDITIONS: usize = 20_000;

impl Finder<'_> {
    /// Notes what a query or statement says of the relations in its FROM.
    pub(crate) fn enter(&mut self, node: Node<'_>) {
        let items = match node.kind() {
            Kind::SELECT | Kind::SELECT_INTO => {
                node.child(Kind::FROM_CLAUSE).map_or_else(|| Some(Vec::new()), items)
            }
            Kind::UPDATE => changed(node, Kind::FROM_CLAUSE),
            Kind::DELETE => changed(node, Kind::USING_CLAUSE),
            Kind::MERGE => merged(node).map(|item| vec![item]),
            Kind::TABLE => return self.enter_table(node),
            Kind::INSERT => return self.enter_insert(node),
            _ => return,
        };
        let mut filter = Vec::new();
        if let Some(condition) = condition(node) {
            conjuncts(condition, &mut filter);
        }
        match items {
            Some(items) => self.enter_from(node, &items, &filter),
            None => self.is_lost = true,
        }
    }

    fn enter_insert(&mut self, insert: Node<'_>) {
        let Some(name) = insert.child(Kind::RELATION_NAME_REF) else {
            self.is_lost = true;
            return;
        };
        let context = Context {
            from: Some(self.open_from(insert, None)),
            alias: alias(insert).and_then(|alias| alias.name),
            alone: true,
            inserted: true,
            ..Context::default()
        };
        // The queries in it see nothing of it.
        self.levels[insert.place()] = self.level_around(insert);
        self.contexts.insert(Place::of(name), context);
    }

    /// `TABLE name`: its FROM is the table, and it has no conditions.
    fn enter_table(&mut self, query: Node<'_>) {
        let Some(name) = query.child(Kind::RELATION_NAME).and_then(named) else {
            self.is_lost = true;
            return;
        };
        let table = Factor::Table { name, alias: None, is_sampled: false };
        self.enter_from(query, &[Item { first: table, joins: Vec::new() }], &[]);
    }

    /// Begins a FROM with these names in it; `None`: not all are known.
    fn open_from(&mut self, query: Node<'_>, names: Option<Vec<String>>) -> usize {
        let from = self.froms.len();
        self.froms.push(From {
            parent: self.level_around(query),
            is_known: names.is_some(),
            is_insert: query.is(Kind::INSERT),
            names: names.unwrap_or_default(),
        });
        self.levels[query.place()] = Some(from);
        from
    }

    /// The FROM of the query around a node, whose own hasn't been seen. What is in a query's WITH
    /// doesn't see the query's.
    pub(crate) fn level_around(&self, node: Node<'_>) -> Option<usize> {
        let parent = node.parent()?;
        let around = if node.is(Kind::WITH_CLAUSE) { parent.parent()? } else { parent };
        self.levels[around.place()]
    }

    /// Notes what `column IN (SELECT inner …)` implies for the rows of the subquery: those with
    /// other values don't matter. `only` is what a column without a qualifier belongs to.
    fn imply(&mut self, conditions: &[Conjunct], only: Option<String>) {
        for condition in conditions {
            if let Fact::Member { column, inner, relation, row_by_row: Some(names) } =
                &condition.fact
            {
                let qualifier = column.qualifier.clone().or_else(|| only.clone());
                // A name that means something else in there can't be used.
                let Some(qualifier) = qualifier.filter(|qualifier| !names.contains(qualifier))
                else {
                    continue;
                };
                let column = ColumnRef { qualifier: Some(qualifier), name: column.name.clone() };
                self.implied.entry(*relation).or_default().push(same(inner.clone(), column));
            }
        }
    }

    /// Notes for each table of a FROM list what bounds its rows: the conditions of WHERE, and of
    /// those joins that can't bring a row of it into the result without holding.
    fn enter_from(&mut self, query: Node<'_>, items: &[Item<'_>], filter: &[Conjunct]) {
        let count: usize = items.iter().map(|item| 1 + item.joins.len()).sum();
        if count > MOST_ITEMS {
            self.is_lost = true;
            return;
        }
        // Each keeps all conditions. Without them, more rows are looked at.
        let filter = if count * filter.len() > MOST_CONDITIONS { &[] } else { filter };
        let from = self.open_from(query, member::names(items));
        let alone = matches!(items, [only] if only.joins.is_empty());
        for item in items {
            self.enter_item(item, from, alone, filter);
        }
    }

    fn enter_item(&mut self, item: &Item<'_>, from: usize, alone: bool, filter: &[Conjunct]) {
        let factors =
            std::iter::once(&item.first).chain(item.joins.iter().map(|join| &join.factor));
        for (position, factor) in factors.enumerate() {
            let bounds = || {
                let mut bounds = filter.to_vec();
                bounds.extend(join_conditions(item, position));
                bounds
            };
            match factor {
                // As PostgreSQL prints the joins of a view. What is joined with it says nothing
                // here of its rows.
                Factor::Nested(item) => self.enter_item(item, from, false, filter),
                Factor::Derived { query, alias: Some(alias), .. } if !alias.renames => {
                    let Some(name) = &alias.name else { continue };
                    for (place, condition) in member::within(*query, name, alone, &bounds()) {
                        self.implied.entry(place).or_default().push(condition);
                    }
                }
                Factor::Table { name, alias, is_sampled } => {
                    let mut bounds = bounds();
                    self.imply(&bounds, if alone { qualifier(factor) } else { None });
                    bounds.extend(self.implied.remove(&Place::of(*name)).into_iter().flatten());
                    let context = Context {
                        from: Some(from),
                        alias: alias.as_ref().and_then(|alias| alias.name.clone()),
                        renames_columns: alias.as_ref().is_some_and(|alias| alias.renames),
                        conjuncts: bounds,
                        alone,
                        inserted: false,
                        is_sampled: *is_sampled,
                    };
                    self.contexts.insert(Place::of(*name), context);
                }
                Factor::Derived { .. } | Factor::Other { .. } => {}
            }
        }
    }
}

/// The target of UPDATE, DELETE or MERGE.
fn target(statement: Node<'_>) -> Option<Factor<'_>> {
    let target = statement.nodes().find(|node| {
        let kinds = [Kind::RELATION_NAME, Kind::TABLE_RELATION_NAME, Kind::PAREN_FROM_ITEM];
        kinds.contains(&node.kind())
    })?;
    let own = alias(statement);
    // A view, in whose place its query stands.
    if target.is(Kind::PAREN_FROM_ITEM) {
        return match factor(target)? {
            Factor::Derived { query, alias, is_lateral } => {
                Some(Factor::Derived { query, alias: own.or(alias), is_lateral })
            }
            _ => None,
        };
    }
    Some(Factor::Table { name: named(target)?, alias: own, is_sampled: false })
}

/// The target of UPDATE or DELETE, and what stands in its FROM or USING.
fn changed<'t>(statement: Node<'t>, clause: Kind) -> Option<Vec<Item<'t>>> {
    let target = Item { first: target(statement)?, joins: Vec::new() };
    let others = match statement.child(clause) {
        Some(clause) => items(clause)?,
        None => Vec::new(),
    };
    Some(std::iter::once(target).chain(others).collect())
}

/// MERGE is an outer join of its source with its target: rows of the target that match nothing
/// don't matter, unless it says what becomes of them.
fn merged(merge: Node<'_>) -> Option<Item<'_>> {
    let using = merge.child(Kind::USING_ON_CLAUSE)?;
    let source = item(using.nodes().next()?)?;
    let condition = using.child(Kind::ON_CLAUSE)?.nodes().next()?;
    let join = Join {
        side: if merge.has(Kind::MERGE_WHEN_NOT_MATCHED_SOURCE) { Side::Full } else { Side::Left },
        factor: target(merge)?,
        on: On::Condition(condition),
    };
    let first =
        if source.joins.is_empty() { source.first } else { Factor::Nested(Box::new(source)) };
    Some(Item { first, joins: vec![join] })
}
