//! Which names mean common table expressions, and where.

use std::collections::HashMap;

use crate::syntax::{Kind, Node, Tree, word};

/// The WITH clauses of a statement.
pub(crate) struct Scopes<'t> {
    /// By the place of the query in which its names are known.
    clauses: HashMap<usize, Clause<'t>>,
}

struct Clause<'t> {
    node: Node<'t>,
    names: Vec<String>,
    is_recursive: bool,
}

impl<'t> Scopes<'t> {
    /// `None` where a name can't be read.
    pub(crate) fn of(tree: &'t Tree) -> Option<Self> {
        let mut clauses = HashMap::new();
        for node in tree.all().filter(|node| node.is(Kind::WITH_CLAUSE)) {
            let names = tables(node).map(|table| word(table.child(Kind::CTE_NAME)?));
            let clause = Clause {
                node,
                names: names.collect::<Option<_>>()?,
                is_recursive: node.has(Kind::RECURSIVE_KW),
            };
            clauses.insert(scope(node)?.place(), clause);
        }
        Some(Self { clauses })
    }

    /// Whether a name without a schema, in this place, means a common table expression.
    pub(crate) fn is_cte(&self, holder: Node<'_>, name: &str) -> bool {
        if self.clauses.is_empty() {
            return false;
        }
        let mut inside = holder;
        // The one of a WITH in which it stands, when it does.
        let mut table = None;
        for around in holder.ancestors() {
            if around.is(Kind::WITH_CLAUSE) {
                table = Some(inside);
            }
            if let Some(clause) = self.clauses.get(&around.place()) {
                let own = table.filter(|table| table.parent() == Some(clause.node));
                let visible = match own {
                    // A query sees those before its own.
                    Some(own) if !clause.is_recursive => {
                        tables(clause.node).position(|each| each == own).unwrap_or(0)
                    }
                    _ => clause.names.len(),
                };
                if clause.names[..visible].iter().any(|each| each == name) {
                    return true;
                }
            }
            inside = around;
        }
        false
    }
}

fn tables(clause: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    clause.nodes().filter(|node| node.is(Kind::WITH_TABLE))
}

/// The query in which a WITH's names are known: of a UNION all, though the clause is in the tree of
/// its first query.
fn scope(clause: Node<'_>) -> Option<Node<'_>> {
    let mut query = clause.parent()?;
    while let Some(around) = query.parent()
        && around.is(Kind::COMPOUND_SELECT)
        && around.nodes().next() == Some(query)
    {
        query = around;
    }
    Some(query)
}
