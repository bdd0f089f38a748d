//! Finds the relations of a statement: every place where it names one, but for names of its own common table expressions.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use sqlparser::ast::{ObjectName, ObjectNamePart, Query, Select, SetExpr, Statement, TableObject, Visit, Visitor};
use sqlparser::tokenizer::Location;

use crate::condition::{Conjunct, conjuncts, fold};
use crate::only::Only;
use crate::position::Lines;
use crate::relation::{Place, Relation, RelationName, Role};

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
pub(crate) struct From {
    /// The FROM of the query around it.
    pub(crate) parent: Option<usize>,
    /// The names of all that stands in it.
    pub(crate) names: Vec<String>,
    /// There is nothing else in it.
    pub(crate) is_known: bool,
}

/// What the FROM clause that holds a relation says of it.
#[derive(Default)]
pub(crate) struct Context {
    pub(crate) from: usize,
    pub(crate) alias: Option<String>,
    pub(crate) renames_columns: bool,
    pub(crate) conjuncts: Vec<Conjunct>,
    pub(crate) alone: bool,
    pub(crate) inserted: bool,
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

pub(crate) struct Finder<'a> {
    lines: &'a Lines<'a>,
    text: &'a str,
    only: &'a [Only],
    scopes: Vec<CteScope>,
    contexts: HashMap<Location, Context>,
    targets: Vec<Location>,
    pub(crate) froms: Vec<From>,
    /// The FROMs that are open, the innermost last.
    pub(crate) levels: Vec<usize>,
    /// Conditions that a query around it implies for the rows of a relation.
    pub(crate) implied: HashMap<Place, Vec<Conjunct>>,
    found: Vec<(Relation, Option<usize>)>,
    pub(crate) lost: bool,
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

    pub(crate) fn target(&mut self, name: &ObjectName) {
        match start_of(name) {
            Some(start) => self.targets.push(start),
            None => self.lost = true,
        }
    }

    pub(crate) fn context(&mut self, name: &ObjectName, context: Context) {
        match start_of(name) {
            Some(start) => {
                self.contexts.insert(start, context);
            }
            None => self.lost = true,
        }
    }
}

pub(crate) fn start_of(name: &ObjectName) -> Option<Location> {
    let start = name.0.first()?.as_ident()?.span.start;
    (start.line > 0).then_some(start)
}
