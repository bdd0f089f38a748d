//! FOR UPDATE and the like: which relations' rows a statement locks, and how.
//!
//! A clause locks what stands in its query's FROM, and in the queries that stand there. It reaches
//! neither common table expressions nor subqueries in conditions and results.

use std::collections::HashMap;
use std::ops::Range;

use crate::lock::Lock;
use crate::relation::{Relation, Role};
use crate::syntax::{Kind, Node, Tree, alias, word};

/// A name behind OF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedName {
    /// Where it stands.
    pub range: Range<usize>,
    /// The relation that it means, by its position; `None` where it means a subquery.
    pub relation: Option<usize>,
}

/// A locking clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locking {
    /// All of it.
    pub range: Range<usize>,
    /// The names behind OF; empty when there are none.
    pub names: Vec<LockedName>,
    /// It locks no relation but those at these positions, where it has no names.
    pub relations: Vec<usize>,
}

/// What the clauses of one query say.
#[derive(Default)]
struct OfQuery {
    /// Of everything in its FROM.
    all: Option<Lock>,
    by_name: HashMap<String, Lock>,
}

/// What a relation's rows, or a subquery's, are known as in the FROM of a query.
struct Known {
    query: usize,
    name: Option<String>,
}

/// The locking clauses of a statement, in their order; notes in the relations how each is locked.
pub(crate) fn locking(tree: &Tree, relations: &mut [Relation]) -> Vec<Locking> {
    let clauses: Vec<_> = tree.all().filter(|node| node.is(Kind::LOCKING_CLAUSE)).collect();
    if clauses.is_empty() {
        return Vec::new();
    }
    let mut queries: HashMap<usize, OfQuery> = HashMap::new();
    for clause in &clauses {
        let (Some(query), lock) = (query_of(*clause), Lock::of(*clause)) else { continue };
        let of_query = queries.entry(query.place()).or_default();
        let and = |known: Option<Lock>| known.map_or(lock, |known| known.and(lock));
        match names(*clause) {
            names if names.is_empty() => of_query.all = Some(and(of_query.all)),
            names => {
                for (name, _) in names {
                    let known = of_query.by_name.get(&name).copied();
                    of_query.by_name.insert(name, and(known));
                }
            }
        }
    }
    let mut meant: HashMap<(usize, String), usize> = HashMap::new();
    let mut reached: HashMap<usize, Vec<usize>> = HashMap::new();
    for (position, relation) in relations.iter_mut().enumerate() {
        if relation.role != Role::Read {
            continue;
        }
        let holder = tree.node(relation.place.number());
        let qualifier = relation.qualifier().to_owned();
        for (level, known) in levels(holder, qualifier).enumerate() {
            let Some(of_query) = queries.get(&known.query) else { continue };
            if of_query.all.is_some() {
                reached.entry(known.query).or_default().push(position);
            }
            let named = known.name.as_ref().and_then(|name| of_query.by_name.get(name));
            for lock in of_query.all.iter().chain(named) {
                relation.lock = Some(relation.lock.map_or(*lock, |known| known.and(*lock)));
            }
            if let (0, Some(name)) = (level, known.name) {
                meant.insert((known.query, name), position);
            }
        }
    }
    let clause = |clause: Node<'_>| {
        let query = query_of(clause).map(Node::place);
        let name = |(name, range): (String, Range<usize>)| LockedName {
            range,
            relation: query.and_then(|query| meant.get(&(query, name)).copied()),
        };
        let names: Vec<_> = names(clause).into_iter().map(name).collect();
        let relations = match query {
            Some(query) if names.is_empty() => reached.get(&query).cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        Locking { range: clause.range(), names, relations }
    };
    clauses.into_iter().map(clause).collect()
}

/// The names behind OF, folded, each with its place.
fn names(clause: Node<'_>) -> Vec<(String, Range<usize>)> {
    let names = clause.child(Kind::LOCKING_OF).into_iter().flat_map(Node::nodes);
    // Only an unqualified name is allowed there.
    names.filter_map(|name| Some((word(name)?, name.range()))).collect()
}

/// The query whose FROM a clause is about. PostgreSQL refuses one behind UNION.
fn query_of(clause: Node<'_>) -> Option<Node<'_>> {
    let mut query = clause.parent()?;
    while query.is(Kind::PAREN_SELECT) {
        query = query.nodes().next()?;
    }
    Some(query)
}

/// What a relation is known as in its own query, and in those in whose FROM that stands, from
/// within.
fn levels(holder: Node<'_>, qualifier: String) -> impl Iterator<Item = Known> {
    let mut next = Some((holder, Some(qualifier)));
    std::iter::from_fn(move || {
        let (item, name) = next.take()?;
        let query = query_from(item)?;
        let outermost = std::iter::successors(Some(query), |query| {
            query.parent().filter(|around| around.is(Kind::PAREN_SELECT))
        });
        let item = outermost.last().and_then(Node::parent);
        next = item
            .filter(|item| item.is(Kind::PAREN_FROM_ITEM))
            .map(|item| (item, alias(item).and_then(|alias| alias.name)));
        Some(Known { query: query.place(), name })
    })
}

/// The query in whose FROM something stands.
fn query_from(item: Node<'_>) -> Option<Node<'_>> {
    let mut is_in_from = false;
    for around in item.ancestors() {
        match around.kind() {
            Kind::FROM_CLAUSE => is_in_from = true,
            Kind::TABLE => return Some(around),
            Kind::SELECT | Kind::SELECT_INTO => return is_in_from.then_some(around),
            Kind::PAREN_SELECT | Kind::COMPOUND_SELECT | Kind::VALUES => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::lock::Waiting::{Not, Skip, Wait};
    use crate::parse;

    #[test]
    fn clauses() {
        let found = |text: &str| {
            let clauses = parse(text).unwrap().locking;
            let found = clauses.iter().map(|clause| {
                let names: Vec<_> =
                    clause.names.iter().map(|name| &text[name.range.clone()]).collect();
                (text[clause.range.clone()].to_owned(), names.join(" "))
            });
            found.collect::<Vec<_>>()
        };
        let one = |clause: &str, names: &str| vec![(clause.to_owned(), names.to_owned())];
        assert_eq!(found("SELECT * FROM t FOR UPDATE"), one("FOR UPDATE", ""));
        assert_eq!(
            found("SELECT * FROM t for no key update nowait;"),
            one("for no key update nowait", "")
        );
        assert_eq!(found("SELECT * FROM t FOR KEY SHARE LIMIT 1"), one("FOR KEY SHARE", ""));
        assert_eq!(
            found("SELECT * FROM t, \"U\" u FOR SHARE OF T, \"U\" SKIP LOCKED"),
            one("FOR SHARE OF T, \"U\" SKIP LOCKED", "T \"U\"")
        );
        assert_eq!(found("SELECT * FROM a, b FOR UPDATE OF a FOR SHARE OF b").len(), 2);
        assert_eq!(found("SELECT 'for update', substring(a FROM 1 FOR 2) FROM t"), []);
    }

    /// The relations that are locked, by their qualifiers, and how.
    fn locked(text: &str) -> String {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let locked = parsed.relations.iter().filter_map(|relation| {
            let lock = relation.lock?;
            let how = if lock.is_shared { "shared" } else { "alone" };
            let waiting = match lock.waiting {
                Wait => "",
                Skip => " skip",
                Not => " not",
            };
            Some(format!("{} {how}{waiting}", relation.qualifier()))
        });
        locked.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn which_relations_are_locked() {
        for (text, expected) in [
            ("SELECT FROM t FOR UPDATE", "t alone"),
            ("TABLE t FOR SHARE", "t shared"),
            ("(SELECT FROM t) FOR SHARE", "t shared"),
            ("SELECT FROM t, u AS x FOR KEY SHARE NOWAIT", "t shared not, x shared not"),
            ("SELECT FROM t, u AS x FOR UPDATE OF x", "x alone"),
            ("SELECT FROM (t JOIN u USING (a)) FOR UPDATE OF u", "u alone"),
            ("SELECT FROM t JOIN u ON EXISTS (SELECT FROM v) FOR UPDATE", "t alone, u alone"),
            (
                "SELECT FROM t, u FOR SHARE OF t SKIP LOCKED FOR UPDATE OF u, t FOR SHARE NOWAIT",
                "t alone not, u alone not",
            ),
            ("SELECT FROM t WHERE a IN (SELECT a FROM u) FOR UPDATE", "t alone"),
            ("SELECT (SELECT a FROM u) FROM t FOR UPDATE", "t alone"),
            ("SELECT FROM t WHERE a IN (SELECT a FROM u FOR SHARE)", "u shared"),
            ("SELECT FROM (SELECT FROM t, u) s, v FOR UPDATE OF s", "t alone, u alone"),
            ("SELECT FROM (SELECT FROM t, u) s, v FOR UPDATE OF v", "v alone"),
            ("SELECT FROM (SELECT FROM t FOR SHARE OF t) s FOR UPDATE SKIP LOCKED", "t alone skip"),
            ("SELECT FROM v t, (SELECT FROM t) s FOR UPDATE OF t", "t alone"),
            ("SELECT FROM ((SELECT FROM t)) s FOR UPDATE", "t alone"),
            ("WITH c AS (SELECT FROM t) SELECT FROM c, u FOR UPDATE", "u alone"),
            ("WITH c AS (SELECT FROM t FOR UPDATE) SELECT FROM c, u", "t alone"),
            ("SELECT FROM f((SELECT a FROM t)) FOR UPDATE", ""),
            ("(SELECT a FROM t FOR UPDATE) UNION ALL SELECT a FROM u", "t alone"),
            ("INSERT INTO t SELECT FROM u FOR UPDATE", "u alone"),
            ("UPDATE t SET a = 1 FROM (SELECT FROM u FOR SHARE) s", "u shared"),
            ("DELETE FROM t USING u WHERE a = (SELECT a FROM v FOR SHARE)", "v shared"),
            ("DECLARE c CURSOR FOR SELECT FROM t FOR UPDATE", "t alone"),
            ("EXPLAIN SELECT FROM t FOR UPDATE", "t alone"),
        ] {
            assert_eq!(locked(text), expected, "{text}");
        }
    }
}
