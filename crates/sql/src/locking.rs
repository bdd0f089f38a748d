//! FOR UPDATE and the like.

use std::ops::Range;

use crate::Relation;
use crate::syntax::{Kind, Tree, word};

/// A locking clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locking {
    /// All of it.
    pub range: Range<usize>,
    /// The names behind OF, folded, each with its place; empty when there are none.
    pub names: Vec<(String, Range<usize>)>,
}

impl Locking {
    /// The locking clauses of a statement, in their order.
    pub(crate) fn all(tree: &Tree) -> Vec<Self> {
        let clauses = tree.all().filter(|node| node.is(Kind::LOCKING_CLAUSE));
        let names = |clause: crate::syntax::Node<'_>| -> Vec<(String, Range<usize>)> {
            let names =
                clause.child(Kind::LOCKING_OF).into_iter().flat_map(crate::syntax::Node::nodes);
            // Only an unqualified name is allowed there.
            names.filter_map(|name| Some((word(name)?, name.range()))).collect()
        };
        clauses.map(|clause| Self { range: clause.range(), names: names(clause) }).collect()
    }

    /// Whether it locks rows of the relation, as far as its words tell: a name behind OF that no
    /// relation has may be that of a subquery.
    pub(crate) fn concerns(&self, relation: &Relation, relations: &[Relation]) -> bool {
        let names =
            |relation: &Relation| self.names.iter().any(|(name, _)| name == relation.qualifier());
        let are_known =
            |(name, _): &(String, _)| relations.iter().any(|relation| name == relation.qualifier());
        names(relation) || !self.names.iter().all(are_known) || self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn clauses() {
        let found = |text: &str| {
            let clauses = parse(text).unwrap().locking;
            let found = clauses.iter().map(|clause| {
                let names: Vec<_> = clause.names.iter().map(|(name, _)| name.clone()).collect();
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
            one("FOR SHARE OF T, \"U\" SKIP LOCKED", "t U")
        );
        assert_eq!(found("SELECT * FROM a, b FOR UPDATE OF a FOR SHARE OF b").len(), 2);
        assert_eq!(found("SELECT 'for update', substring(a FROM 1 FOR 2) FROM t"), []);
    }
}
