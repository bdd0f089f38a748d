//! Finds the relations of a statement: every place where it names one, but for names of its own
//! common table expressions.
//!
//! Relations are found by the nodes that hold names, wherever those stand. What a FROM says of them
//! is found query by query.

use std::collections::HashMap;
use std::ops::Range;

use crate::condition::Conjunct;
use crate::name::{Place, RelationName};
use crate::relation::{Relation, Role};
use crate::scope::Scopes;
use crate::syntax::{Kind, Node, Standing, Tree, is_computed, standing, word};

/// How deep queries may stand in each other for their relations to know of each other.
const MOST_LEVELS: usize = 32;

/// All relations of a statement in the order they stand; `None` when a name in it can't be told to
/// be a relation's or not.
pub(crate) fn relations(tree: &Tree) -> Option<Vec<Relation>> {
    if !tree.all().all(is_understood) {
        return None;
    }
    let mut finder = Finder {
        scopes: Scopes::of(tree)?,
        contexts: HashMap::new(),
        froms: Vec::new(),
        levels: Vec::new(),
        implied: HashMap::new(),
        is_lost: false,
    };
    // A query stands before those in it, which its conditions bound.
    for node in tree.all() {
        finder.levels.push(finder.level_around(node));
        finder.enter(node);
    }
    if finder.is_lost {
        return None;
    }
    let mut found = Vec::new();
    for holder in tree.all().filter(|node| standing(node.kind()) == Some(Standing::Relation)) {
        found.extend(finder.relation(holder)?);
    }
    let mut relations = finder.related(found);
    finder.note_schemas(tree, &mut relations);
    Some(relations)
}

/// Whether a word is known to be part of the grammar, or a name of a known kind.
fn is_understood(node: Node<'_>) -> bool {
    if !node.is_token() || !(node.is(Kind::IDENT) || node.kind().is_keyword()) {
        return true;
    }
    let parts = [Kind::PATH, Kind::PATH_REF, Kind::PATH_SEGMENT, Kind::PATH_SEGMENT_REF];
    let holder = node.ancestors().find(|around| !parts.contains(&around.kind()));
    let is_known = holder.is_some_and(|holder| standing(holder.kind()).is_some());
    // A keyword in any other node is the node's own.
    let is_path = node.parent().is_some_and(|parent| parts.contains(&parent.kind()));
    is_known || !(node.is(Kind::IDENT) || is_path)
}

/// A FROM clause, or what stands for one in UPDATE and DELETE.
pub(crate) struct From {
    /// The FROM of the query around it.
    pub(crate) parent: Option<usize>,
    /// The names of all that stands in it.
    pub(crate) names: Vec<String>,
    /// There is nothing else in it.
    pub(crate) is_known: bool,
    /// It stands for the table of an INSERT.
    pub(crate) is_insert: bool,
}

/// What the FROM clause that holds a relation says of it.
#[derive(Default)]
pub(crate) struct Context {
    pub(crate) from: Option<usize>,
    pub(crate) alias: Option<String>,
    pub(crate) renames_columns: bool,
    pub(crate) conjuncts: Vec<Conjunct>,
    pub(crate) alone: bool,
    pub(crate) inserted: bool,
    /// Only a table can be sampled, not rows in its place.
    pub(crate) is_sampled: bool,
}

pub(crate) struct Finder<'t> {
    pub(crate) scopes: Scopes<'t>,
    pub(crate) contexts: HashMap<Place, Context>,
    pub(crate) froms: Vec<From>,
    /// The FROM that is seen inside each node and token, by their places.
    pub(crate) levels: Vec<Option<usize>>,
    /// Conditions that a query around it implies for the rows of a relation.
    pub(crate) implied: HashMap<Place, Vec<Conjunct>>,
    pub(crate) is_lost: bool,
}

impl Finder<'_> {
    /// The relation that a node names; `Some(None)` for a common table expression, and for a
    /// function as `current_date`.
    #[allow(clippy::option_option, reason = "no relation isn't the same as an unknown one")]
    fn relation(&mut self, holder: Node<'_>) -> Option<Option<(Relation, Option<usize>)>> {
        let name = RelationName::of(holder)?;
        let (role, range) = position(holder);
        if role == Role::Read && is_computed(holder) {
            return Some(None);
        }
        if role == Role::Read && name.schema.is_none() && self.scopes.is_cte(holder, &name.name) {
            return Some(None);
        }
        let place = Place::of(holder);
        let context = self.contexts.remove(&place).unwrap_or_default();
        let relation = Relation {
            name,
            range,
            place,
            role: if context.is_sampled { Role::Object } else { role },
            alias: context.alias,
            renames_columns: context.renames_columns,
            conjuncts: context.conjuncts,
            siblings: Vec::new(),
            outer: Vec::new(),
            alone: context.alone,
            inserted: context.inserted,
            schemas: Vec::new(),
            is_query: role == Role::Read
                && holder.ancestors().nth(1).is_some_and(|around| around.is(Kind::TABLE)),
            is_through_view: false,
            lock: None,
        };
        Some(Some((relation, context.from)))
    }

    /// Siblings and outer relations are known only when all have been seen.
    fn related(&self, found: Vec<(Relation, Option<usize>)>) -> Vec<Relation> {
        let froms: Vec<Option<usize>> = found.iter().map(|(_, from)| *from).collect();
        let mut relations: Vec<Relation> =
            found.into_iter().map(|(relation, _)| relation).collect();
        let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
        for (position, from) in froms.iter().enumerate() {
            if let Some(from) = from {
                members.entry(*from).or_default().push(position);
            }
        }
        for position in 0..relations.len() {
            let Some(from) = froms[position] else {
                relations[position].siblings = vec![position];
                continue;
            };
            relations[position].siblings = members.get(&from).cloned().unwrap_or_default();
            let enclosing = self.enclosing(from);
            if enclosing.len() < 2 {
                continue;
            }
            let is_only = |name: &str| {
                let mut names = enclosing
                    .iter()
                    .flat_map(|from| &self.froms[*from].names)
                    .filter(|each| *each == name);
                names.next().is_some() && names.next().is_none()
            };
            let around = enclosing[1..].iter().filter_map(|from| members.get(from)).flatten();
            let mut outer: Vec<usize> =
                around.copied().filter(|other| is_only(relations[*other].qualifier())).collect();
            outer.sort_unstable();
            relations[position].outer = outer;
        }
        relations
    }

    /// Notes where `schema.table.column` stands, for the table that it can only mean.
    fn note_schemas(&self, tree: &Tree, relations: &mut [Relation]) {
        for member in tree.all().filter_map(Member::of) {
            let is_meant = |relation: &Relation| {
                let schema = relation.name.schema.as_ref();
                relation.role == Role::Read
                    && relation.alias.is_none()
                    && relation.name.name == member.table
                    && schema.is_none_or(|schema| *schema == member.schema)
            };
            let mut meant = relations.iter_mut().filter(|relation| is_meant(relation));
            let (Some(relation), None) = (meant.next(), meant.next()) else {
                continue;
            };
            // Without the schema it may mean another of that name.
            let named = self
                .froms
                .iter()
                .flat_map(|from| &from.names)
                .filter(|name| **name == member.table);
            if self.froms.iter().all(|from| from.is_known || from.is_insert) && named.count() == 1 {
                relation.schemas.push(member.range);
            }
        }
    }

    /// A FROM and those around it, from within; empty where one of them has something in it that
    /// has no known name, and where they are too many.
    fn enclosing(&self, innermost: usize) -> Vec<usize> {
        let all = std::iter::successors(Some(innermost), |from| self.froms[*from].parent);
        let all: Vec<usize> = all.take(MOST_LEVELS + 1).collect();
        if all.len() <= MOST_LEVELS && all.iter().all(|from| self.froms[*from].is_known) {
            all
        } else {
            Vec::new()
        }
    }
}

/// `schema.table.column` or `schema.table.*`
struct Member {
    schema: String,
    table: String,
    /// The schema and what else is in front of the table's name.
    range: Range<usize>,
}

impl Member {
    fn of(node: Node<'_>) -> Option<Self> {
        let around = node.parent()?;
        let is_called = around.is(Kind::CALL_EXPR) && around.nodes().next() == Some(node);
        if !node.is(Kind::FIELD_EXPR) || around.is(Kind::FIELD_EXPR) || is_called {
            return None;
        }
        let mut names = Vec::new();
        let mut expr = node;
        if node.has(Kind::STAR) {
            expr = node.nodes().next()?;
            names.push(expr);
        }
        while expr.is(Kind::FIELD_EXPR) {
            let mut nodes = expr.nodes();
            let (base, name) = (nodes.next()?, nodes.next()?);
            names.push(name);
            expr = base;
        }
        names.push(expr);
        let [_, table, schema, ..] = &names[..] else { return None };
        if !names.iter().skip(1).all(|name| name.is(Kind::NAME_REF)) {
            return None;
        }
        Some(Self {
            schema: word(*schema)?,
            table: word(*table)?,
            range: node.range().start..table.range().start,
        })
    }
}

/// What is done with the relation that a node names, and where all stands that names it.
fn position(holder: Node<'_>) -> (Role, Range<usize>) {
    let Some(parent) = holder.parent() else {
        return (Role::Object, holder.range());
    };
    match parent.kind() {
        Kind::INSERT => (Role::Target, holder.range()),
        Kind::RELATION_NAME | Kind::TABLE_RELATION_NAME => {
            let role = match parent.parent().map(Node::kind) {
                Some(Kind::UPDATE | Kind::DELETE | Kind::MERGE) => Role::Target,
                Some(Kind::TABLE) => Role::Read,
                _ => Role::Object,
            };
            let range = match parent.parent() {
                // A query of its own.
                Some(table) if table.is(Kind::TABLE) => {
                    let start = table
                        .child(Kind::TABLE_KW)
                        .map_or_else(|| parent.range().start, |word| word.range().start);
                    start..parent.range().end
                }
                _ => parent.range(),
            };
            (role, range)
        }
        Kind::RELATION_FROM_ITEM => {
            let around = parent.parent().filter(|around| around.is(Kind::PAREN_EXPR));
            let only = around.and_then(Node::parent).and_then(|item| item.child(Kind::ONLY_KW));
            let range = match (around, only) {
                (Some(around), Some(only)) => only.range().start..around.range().end,
                _ => {
                    let start = parent
                        .child(Kind::ONLY_KW)
                        .map_or_else(|| holder.range().start, |word| word.range().start);
                    let end = parent
                        .child(Kind::STAR)
                        .map_or_else(|| holder.range().end, |star| star.range().end);
                    start..end
                }
            };
            (Role::Read, range)
        }
        _ => (Role::Object, holder.range()),
    }
}
