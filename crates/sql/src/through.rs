//! Statements that write to a view. PostgreSQL rewrites them to the view's table; which of its rows
//! they can touch is read from the view's query in the place of its name.

use std::ops::Range;

use crate::parse::{of_tree, statement};
use crate::syntax::{Factor, Kind, Node, Select, Tree, bare, read};
use crate::{ParseError, Parsed, RelationName, Role, parse};

/// A view that a statement writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Where the statement names it.
    pub range: Range<usize>,
    /// What stands for it: its query as a subquery with an alias, or its table's name where no row
    /// of it is read.
    pub with: String,
}

/// Reads `text` with what stands for each of the views, in the order of their places, in its place.
/// Ranges in the result are of `text`; what a view's query names stands where the view does, and is
/// written to.
///
/// # Errors
/// As [`parse()`].
pub fn parse_through(text: &str, views: &[Through]) -> Result<Parsed, ParseError> {
    if views.is_empty() {
        return parse(text);
    }
    let mut tree = read(text)?;
    // Of each view: where what stands for it stands, behind the text.
    let mut pieces: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for view in views {
        let scion = read(&scion_text(&view.with))?;
        let (stock, scion) = (
            stock(&tree, view).ok_or(ParseError::Relations)?,
            grafted(&scion).ok_or(ParseError::Relations)?,
        );
        let start = tree.text().len();
        tree.graft(stock, scion);
        pieces.push((start..tree.text().len(), view.range.clone()));
    }
    let mut parsed = of_tree(&tree)?;
    let view = |range: &Range<usize>| {
        pieces.iter().find(|(piece, _)| piece.contains(&range.start)).map(|(_, view)| view.clone())
    };
    for relation in &mut parsed.relations {
        if let Some(view) = view(&relation.range) {
            relation.range = view;
            relation.role = Role::Target;
            relation.is_through_view = true;
        }
    }
    parsed.locking.retain(|clause| view(&clause.range).is_none());
    // Its columns are the view's.
    parsed.shape = None;
    parsed.inserted = None;
    Ok(parsed)
}

/// A query in whose tree stands what is to be put in a view's place.
fn scion_text(with: &str) -> String {
    format!("SELECT FROM {with}")
}

/// The subquery, or the table's name, in the tree of [`scion_text`].
fn grafted(tree: &Tree) -> Option<Node<'_>> {
    tree.all().find(|node| matches!(node.kind(), Kind::PAREN_FROM_ITEM | Kind::RELATION_NAME_REF))
}

/// The place in the tree of the view's name.
fn stock(tree: &Tree, view: &Through) -> Option<usize> {
    let kinds = [Kind::RELATION_NAME, Kind::TABLE_RELATION_NAME, Kind::RELATION_NAME_REF];
    tree.all()
        .find(|node| kinds.contains(&node.kind()) && node.range() == view.range)
        .map(Node::place)
}

/// What a view's query selects from, when that is one relation: what PostgreSQL writes to in the
/// view's place.
#[must_use]
pub fn base_of(query: &str) -> Option<RelationName> {
    let tree = read(query).ok()?;
    let from = Select::of(bare(statement(&tree).ok()?))?.from()?;
    match &from[..] {
        [from] if from.joins.is_empty() => match &from.first {
            Factor::Table { name, .. } => RelationName::of(*name),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Comparison, Constant, Fact};

    #[test]
    fn conditions_reach_the_table() {
        let text = "UPDATE live SET owner = o.id FROM others o WHERE live.number = 7";
        let view = Through {
            range: 7..11,
            with: "(SELECT s.id AS number, s.owner FROM s WHERE s.device = 'x') AS live".into(),
        };
        let parsed = parse_through(text, &[view]).unwrap();
        let found: Vec<_> = parsed
            .relations
            .iter()
            .map(|relation| {
                (relation.name.name.as_str(), &text[relation.range.clone()], relation.role)
            })
            .collect();
        assert_eq!(found, [("s", "live", Role::Target), ("others", "others", Role::Read)]);
        let is_pushed = |fact: &Fact| matches!(fact, Fact::Compare(column, Comparison::Equal, Constant::Number(seven)) if column.name == "id" && seven == "7");
        assert!(parsed.relations[0].conjuncts.iter().any(|conjunct| is_pushed(&conjunct.fact)));
        assert!(parsed.shape.is_none());
    }

    #[test]
    fn the_table_behind_a_view() {
        let base = |query: &str| base_of(query).map(|name| name.to_string());
        assert_eq!(base("SELECT t.a FROM ONLY s.t WHERE t.a > 1"), Some("s.t".into()));
        assert_eq!(base("SELECT t.a FROM t, u"), None);
        assert_eq!(base("SELECT a FROM t UNION SELECT b FROM u"), None);
    }
}
