//! Statements that write to a view. PostgreSQL rewrites them to the view's table; which of its rows they can touch is read from the view's query in the
//! place of its name.

use std::ops::Range;

use sqlparser::ast::{SetExpr, Statement, TableFactor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::condition::fold;
use crate::only::{Only, without_only};
use crate::parse::is_too_long;
use crate::{ParseError, Parsed, RelationName, Role, parse};

/// A view that a statement writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// Where the statement names it.
    pub range: Range<usize>,
    /// What stands for it: its query as a subquery with an alias, or its table's name where no row of it is read.
    pub with: String,
}

/// Reads `text` with what stands for each of the views, in the order of their places, in its place. Ranges in the result are of `text`; what a view's query
/// names stands where the view does, and is written to.
///
/// # Errors
/// As [`parse()`].
pub fn parse_through(text: &str, views: &[Through]) -> Result<Parsed, ParseError> {
    if views.is_empty() {
        return parse(text);
    }
    let mut whole = String::with_capacity(text.len());
    // Of each view: where what stands for it stands.
    let mut pieces: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let mut at = 0;
    for view in views {
        whole.push_str(&text[at..view.range.start]);
        let start = whole.len();
        whole.push_str(&view.with);
        pieces.push((start..whole.len(), view.range.clone()));
        at = view.range.end;
    }
    whole.push_str(&text[at..]);
    let mut parsed = parse(&whole)?;
    let within = |range: &Range<usize>| pieces.iter().find(|(piece, _)| piece.contains(&range.start));
    let original = |range: &Range<usize>| match within(range) {
        Some((_, view)) => view.clone(),
        None => {
            let before = pieces.iter().rev().find(|(piece, _)| piece.end <= range.start);
            let (piece_end, view_end) = before.map_or((0, 0), |(piece, view)| (piece.end, view.end));
            range.start - piece_end + view_end..range.end - piece_end + view_end
        }
    };
    for relation in &mut parsed.relations {
        if within(&relation.range).is_some() {
            relation.role = Role::Target;
            relation.is_through_view = true;
        }
        relation.range = original(&relation.range);
    }
    for clause in &mut parsed.locking {
        clause.range = original(&clause.range);
        for (_, range) in &mut clause.names {
            *range = original(range);
        }
    }
    // Its columns are the view's.
    parsed.shape = None;
    parsed.inserted = None;
    Ok(parsed)
}

/// What a view's query selects from, when that is one relation: what PostgreSQL writes to in the view's place.
#[must_use]
pub fn base_of(query: &str) -> Option<RelationName> {
    if is_too_long(query) {
        return None;
    }
    let plain = without_only(query, &Only::all(query));
    let [Statement::Query(query)] = &Parser::parse_sql(&PostgreSqlDialect {}, &plain).ok()?[..] else {
        return None;
    };
    let SetExpr::Select(select) = &*query.body else { return None };
    let [from] = &select.from[..] else { return None };
    let TableFactor::Table { name, args: None, .. } = &from.relation else {
        return None;
    };
    let mut parts = name.0.iter().rev().map(|part| part.as_ident().map(fold));
    let (last, schema) = (parts.next()??, parts.next().flatten());
    from.joins.is_empty().then_some(RelationName { schema, name: last })
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
            .map(|relation| (relation.name.name.as_str(), &text[relation.range.clone()], relation.role))
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
