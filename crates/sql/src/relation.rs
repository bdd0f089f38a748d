//! Which relations a statement names, as what, and under which conditions.

use std::collections::HashMap;
use std::fmt;
use std::ops::{ControlFlow, Range};

use sqlparser::ast::{
    Delete, Expr, FromTable, Join, JoinConstraint, JoinOperator, Merge, MergeClauseKind, ObjectName, ObjectNamePart, Query, Select,
    SetExpr, Statement, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind, Visit, Visitor,
};
use sqlparser::tokenizer::Location;

use crate::condition::{ColumnRef, Conjunct, Fact, conjuncts, fold, same};
use crate::join::{alias_name, join_conditions, qualifier};
use crate::member;
use crate::only::Only;
use crate::position::Lines;

/// A table's name as written, folded; without a schema it is looked up on the search path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// The schema, when written.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl RelationName {
    /// The name as SQL, quoted.
    #[must_use]
    pub fn to_sql(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let schema = self.schema.as_deref().map_or_else(String::new, |schema| quoted(schema) + ".");
        schema + &quoted(&self.name)
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// Where a statement names a relation: the same for no two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(Location);

impl Place {
    pub(crate) fn of(name: &ObjectName) -> Option<Self> {
        start_of(name).map(Self)
    }
}

/// What a statement does with a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads it in a FROM clause, where a set of rows can stand in its place.
    Read,
    /// Inserts into, updates or deletes from it.
    Target,
    /// Names it in another way: as the object of a definition, a COPY, a lock.
    Object,
}

/// One place where a statement names a relation.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The name as written.
    pub name: RelationName,
    /// Where the name stands in the text, with ONLY where it is named so.
    pub range: Range<usize>,
    /// The same, as conditions refer to it.
    pub place: Place,
    /// What is done with it.
    pub role: Role,
    /// The alias, folded.
    pub alias: Option<String>,
    /// The alias has a list of column names, so that columns go by other names here.
    pub renames_columns: bool,
    /// Conditions that hold of every one of its rows that can matter to the result.
    pub conjuncts: Vec<Conjunct>,
    /// The relations that stand in the same FROM, itself included, as positions in [`crate::Parsed::relations`].
    pub siblings: Vec<usize>,
    /// The relations of enclosing queries that their names, in its conditions, can only mean; as positions again.
    pub outer: Vec<usize>,
    /// Nothing else stands in its FROM, so that a bare column name is its own.
    pub alone: bool,
    /// It is the table of an INSERT: none of its rows are read.
    pub inserted: bool,
    /// It stands in the query of a view that the statement writes to.
    pub is_through_view: bool,
}

impl Relation {
    /// The name by which columns refer to it.
    #[must_use]
    pub fn qualifier(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name.name)
    }
}

/// All relations of a statement in the order they stand; `None` when a name's place can't be found in the text.
pub(crate) fn relations(statement: &Statement, lines: &Lines<'_>, text: &str, only: &[Only]) -> Option<Vec<Relation>> {
    let mut finder = Finder {
        lines,
        text,
        only,
        scopes: Vec::new(),
        contexts: HashMap::new(),
        targets: Vec::new(),
        froms: Vec::new(),
        levels: Vec::new(),
        implied: HashMap::new(),
        found: Vec::new(),
        lost: false,
    };
    let _ = statement.visit(&mut finder);
    if finder.lost {
        return None;
    }
    // Siblings are known only when all have been seen.
    let froms: Vec<Option<usize>> = finder.found.iter().map(|(_, from)| *from).collect();
    let mut relations: Vec<Relation> = finder.found.into_iter().map(|(relation, _)| relation).collect();
    for position in 0..relations.len() {
        let Some(from) = froms[position] else { continue };
        let enclosing = enclosing(&finder.froms, from);
        let is_only = |name: &str| {
            enclosing
                .iter()
                .flat_map(|from| &finder.froms[*from].names)
                .filter(|each| *each == name)
                .count()
                == 1
        };
        let is_outer =
            |other: &usize| froms[*other].is_some_and(|from| enclosing[1..].contains(&from)) && is_only(relations[*other].qualifier());
        if !enclosing.is_empty() {
            relations[position].outer = (0..froms.len()).filter(is_outer).collect();
        }
    }
    for (position, from) in froms.iter().enumerate() {
        relations[position].siblings = if from.is_some() {
            froms
                .iter()
                .enumerate()
                .filter(|(_, other)| *other == from)
                .map(|(other, _)| other)
                .collect()
        } else {
            vec![position]
        };
    }
    Some(relations)
}

/// A FROM and those around it, from within; empty where one of them has something in it that has no known name.
fn enclosing(froms: &[From], innermost: usize) -> Vec<usize> {
    let all: Vec<usize> = std::iter::successors(Some(innermost), |from| froms[*from].parent).collect();
    if all.iter().all(|from| froms[*from].is_known) {
        all
    } else {
        Vec::new()
    }
}

/// A FROM clause, or what stands for one in UPDATE and DELETE.
struct From {
    /// The FROM of the query around it.
    parent: Option<usize>,
    /// The names of all that stands in it.
    names: Vec<String>,
    /// There is nothing else in it.
    is_known: bool,
}

/// What the FROM clause that holds a relation says of it.
#[derive(Default)]
struct Context {
    from: usize,
    alias: Option<String>,
    renames_columns: bool,
    conjuncts: Vec<Conjunct>,
    alone: bool,
    inserted: bool,
}

/// Names of common table expressions that hide tables of the same name within a query.
struct CteScope {
    /// Which of its CTEs a direct child query is, by the child's address.
    children: HashMap<usize, usize>,
    names: Vec<String>,
    recursive: bool,
    /// Set while visiting inside one CTE: how many of `names` are visible there.
    visible: usize,
    /// How many levels were open before the query.
    levels: usize,
    /// Its body is one SELECT, whose FROM its ORDER BY sees too.
    is_select: bool,
}

struct Finder<'a> {
    lines: &'a Lines<'a>,
    text: &'a str,
    only: &'a [Only],
    scopes: Vec<CteScope>,
    contexts: HashMap<Location, Context>,
    targets: Vec<Location>,
    froms: Vec<From>,
    /// The FROMs that are open, the innermost last.
    levels: Vec<usize>,
    /// Conditions that a query around it implies for the rows of a relation.
    implied: HashMap<Place, Vec<Conjunct>>,
    found: Vec<(Relation, Option<usize>)>,
    lost: bool,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let address = std::ptr::from_ref(query) as usize;
        if let Some(parent) = self.scopes.last_mut() {
            parent.visible = match parent.children.get(&address) {
                Some(_) if parent.recursive => parent.names.len(),
                Some(&position) => position,
                None => parent.names.len(),
            };
        }
        let ctes = query.with.as_ref().map_or(&[][..], |with| &with.cte_tables);
        let names: Vec<_> = ctes.iter().map(|cte| fold(&cte.alias.name)).collect();
        self.scopes.push(CteScope {
            children: ctes
                .iter()
                .enumerate()
                .map(|(position, cte)| (std::ptr::from_ref(&*cte.query) as usize, position))
                .collect(),
            visible: names.len(),
            levels: self.levels.len(),
            is_select: matches!(&*query.body, SetExpr::Select(_)),
            names,
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
        });
        // TABLE t is a SELECT without a Select node; it has no conditions.
        if let SetExpr::Table(_) = &*query.body {
            self.lost = true;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        if let Some(scope) = self.scopes.pop() {
            self.levels.truncate(scope.levels);
        }
        if let Some(parent) = self.scopes.last_mut() {
            parent.visible = parent.names.len();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let mut filter = Vec::new();
        if let Some(selection) = &select.selection {
            conjuncts(selection, &mut filter);
        }
        self.enter_from(select.from.iter().collect(), &filter);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        if !self.scopes.last().is_some_and(|scope| scope.is_select) {
            self.levels.pop();
        }
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        if matches!(statement, Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_)) {
            self.levels.pop();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Insert(insert) => {
                if let TableObject::TableName(name) = &insert.table {
                    self.target(name);
                    let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
                    let from = self.open_from(None);
                    self.levels.pop();
                    self.context(
                        name,
                        Context {
                            from,
                            alias,
                            renames_columns: false,
                            conjuncts: Vec::new(),
                            alone: true,
                            inserted: true,
                        },
                    );
                }
            }
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let Some(start) = start_of(name) else {
            self.lost = true;
            return ControlFlow::Continue(());
        };
        let context = self.contexts.remove(&start);
        let is_target = self.targets.contains(&start);
        let Some((relation_name, range)) = self.locate(name) else {
            self.lost = true;
            return ControlFlow::Continue(());
        };
        if !is_target && relation_name.schema.is_none() && self.is_cte(&relation_name.name) {
            return ControlFlow::Continue(());
        }
        let role = match (&context, is_target) {
            (_, true) => Role::Target,
            (Some(_), false) => Role::Read,
            (None, false) => Role::Object,
        };
        let from = context.as_ref().map(|context| context.from);
        let Context {
            alias,
            renames_columns,
            conjuncts,
            alone,
            inserted,
            ..
        } = context.unwrap_or_default();
        let relation = Relation {
            name: relation_name,
            range,
            place: Place(start),
            role,
            alias,
            renames_columns,
            conjuncts,
            siblings: Vec::new(),
            outer: Vec::new(),
            alone,
            inserted,
            is_through_view: false,
        };
        self.found.push((relation, from));
        ControlFlow::Continue(())
    }
}

impl Finder<'_> {
    fn is_cte(&self, name: &str) -> bool {
        self.scopes
            .iter()
            .any(|scope| scope.names[..scope.visible].iter().any(|each| each == name))
    }

    /// The name and its place in the text, checked against the text.
    fn locate(&self, name: &ObjectName) -> Option<(RelationName, Range<usize>)> {
        let idents: Vec<_> = name.0.iter().map(ObjectNamePart::as_ident).collect::<Option<_>>()?;
        let (schema, last) = match &idents[..] {
            [name] => (None, name),
            // catalog.schema.table: PostgreSQL allows only the current database as the catalog.
            [.., schema, name] => (Some(fold(schema)), name),
            [] => return None,
        };
        let first = self.lines.range(idents[0].span)?;
        let end = self.lines.range(last.span)?;
        let written = self.text.get(end.clone())?;
        let plain = written.trim_matches('"').replace("\"\"", "\"");
        if plain != last.value && written != last.value {
            return None;
        }
        let only = self.only.iter().find(|only| only.name.start == first.start);
        let range = only.map_or(first.start..end.end, |only| only.range.clone());
        Some((RelationName { schema, name: fold(last) }, range))
    }

    fn target(&mut self, name: &ObjectName) {
        match start_of(name) {
            Some(start) => self.targets.push(start),
            None => self.lost = true,
        }
    }

    fn context(&mut self, name: &ObjectName, context: Context) {
        match start_of(name) {
            Some(start) => {
                self.contexts.insert(start, context);
            }
            None => self.lost = true,
        }
    }

    fn update(&mut self, update: &Update) {
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

    fn delete(&mut self, delete: &Delete) {
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
    fn merge(&mut self, merge: &Merge) {
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
    fn open_from(&mut self, names: Option<Vec<String>>) -> usize {
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
    fn enter_from(&mut self, items: Vec<&TableWithJoins>, filter: &[Conjunct]) {
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

fn start_of(name: &ObjectName) -> Option<Location> {
    let start = name.0.first()?.as_ident()?.span.start;
    (start.line > 0).then_some(start)
}
