//! What an UPDATE of one table assigns, as a query can compute it from the rows.

use std::ops::Range;

use crate::shape::{is_default, is_searched, set_column};
use crate::syntax::{Kind, Node, condition};
use crate::{Constant, Relation};

/// The parts of `UPDATE table SET column = expression, … WHERE condition`, by their places in the
/// text.
#[derive(Debug, Clone, PartialEq)]
pub struct NewValues {
    /// The columns, folded, and what each becomes.
    pub set: Vec<(String, NewValue)>,
    /// The table with its alias, as it could stand in FROM.
    pub table: Range<usize>,
    /// The condition of WHERE.
    pub condition: Option<Range<usize>>,
}

/// What a column becomes.
#[derive(Debug, Clone, PartialEq)]
pub enum NewValue {
    /// A literal, whose type is the column's, or a parameter.
    Constant(Constant),
    /// An expression, by its place.
    Expression(Range<usize>),
}

impl NewValues {
    /// `None` for any other statement, and where a query would be another: with FROM, WITH, fields
    /// of columns, several columns at once, DEFAULT.
    pub(crate) fn of(statement: Node<'_>, relations: &[Relation]) -> Option<Self> {
        let [relation] = relations else { return None };
        let others = [Kind::FROM_CLAUSE, Kind::WITH_CLAUSE, Kind::RETURNING_CLAUSE];
        if !statement.is(Kind::UPDATE)
            || others.iter().any(|clause| statement.has(*clause))
            || !is_searched(statement)
            || relation.renames_columns
            || relation.is_through_view
        {
            return None;
        }
        let condition = condition(statement).map(Node::range);
        // One that isn't read would be lost, and every row changed.
        if condition.is_none() && statement.has(Kind::WHERE_CLAUSE) {
            return None;
        }
        let clause = statement.child(Kind::SET_CLAUSE)?;
        let set = clause.child(Kind::SET_COLUMN_LIST)?.nodes().map(assignment);
        let before_set = statement.children().take_while(|child| *child != clause);
        Some(Self {
            set: set.collect::<Option<_>>()?,
            table: relation.range.start..before_set.last()?.range().end,
            condition,
        })
    }
}

fn assignment(assignment: Node<'_>) -> Option<(String, NewValue)> {
    let (column, set) = set_column(assignment)?;
    let expr = set.nodes().next()?;
    if is_default(expr) {
        return None;
    }
    let value = match Constant::of(expr) {
        Some(constant) => NewValue::Constant(constant),
        None => NewValue::Expression(set.range()),
    };
    Some((column, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn parts_stand_where_they_are() {
        let text =
            "UPDATE ONLY s.t AS x SET a = x.a || 'z' /* ; */, b = '1' WHERE id = $1 AND b > 0 ;";
        let found = parse(text).expect("an UPDATE").new_values.expect("new values");
        assert_eq!(&text[found.table], "ONLY s.t AS x");
        assert_eq!(&text[found.condition.expect("a condition")], "id = $1 AND b > 0");
        let [(a, NewValue::Expression(sum)), (b, NewValue::Constant(_))] = &found.set[..] else {
            panic!("{:?}", found.set)
        };
        assert_eq!((a.as_str(), b.as_str(), &text[sum.clone()]), ("a", "b", "x.a || 'z'"));
    }

    #[test]
    fn other_statements_have_none() {
        for text in [
            "UPDATE t SET a = a + 1 RETURNING a",
            "UPDATE t SET a = a + 1 FROM u WHERE t.id = u.id",
            "WITH w AS (SELECT 1) UPDATE t SET a = a + 1",
            "UPDATE t SET (a, b) = (a + 1, 2)",
            "UPDATE t SET a[1] = 2",
            "UPDATE t SET a = DEFAULT",
            "UPDATE t SET a = (SELECT max(b) FROM u)",
            "UPDATE t SET a = 1 WHERE CURRENT OF c",
            "DELETE FROM t",
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = t.a + 1",
        ] {
            assert_eq!(parse(text).expect(text).new_values, None, "{text}");
        }
    }
}
