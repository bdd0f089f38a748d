//! Reads one statement.

use std::borrow::Cow;
use std::collections::BTreeSet;

use thiserror::Error;

use crate::finder::relations;
use crate::inserted::{self, Inserted};
use crate::lex::lex;
use crate::lock::Lock;
use crate::locking::{Locking, locking};
use crate::mention::{members, mentions};
use crate::new_values::NewValues;
use crate::physical::Physical;
use crate::relation::{Relation, Role};
use crate::shape::Shape;
use crate::syntax::{Kind, MOST_TOKENS, Node, Tree, read};

/// A statement that names a store table, read.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Every place where it names a relation, in their order. Names of its own common table
    /// expressions aren't relations.
    pub relations: Vec<Relation>,
    /// What it asks, where a key-value store may answer that.
    pub shape: Option<Shape>,
    /// Every name in it, columns' among them; `None` where it may mean columns that it doesn't name
    /// (`*`, whole rows).
    pub mentions: Option<BTreeSet<String>>,
    /// Every `qualifier.name` in it.
    pub members: BTreeSet<(String, String)>,
    /// Whether an INSERT in it has an ON CONFLICT clause.
    pub on_conflict: bool,
    /// The rows that it inserts, when it is INSERT … VALUES.
    pub inserted: Option<Inserted>,
    /// What it assigns, when it is an UPDATE of one table.
    pub new_values: Option<NewValues>,
    /// FOR UPDATE and the like.
    pub locking: Vec<Locking>,
    /// What it asks of its tables that rows in their place can't answer.
    pub physical: Physical,
}

impl Parsed {
    /// The statement's text without FOR UPDATE and the like.
    #[must_use]
    pub fn unlocked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for clause in self.locking.iter().rev() {
            text.to_mut().replace_range(clause.range.clone(), "");
        }
        text
    }

    /// Whether the rows of one of its relations, by its position, are locked for the transaction.
    #[must_use]
    pub fn locks(&self, relation: usize) -> bool {
        self.lock(relation).is_some()
    }

    /// How the rows of one of its relations, by its position, are locked for the transaction.
    #[must_use]
    pub fn lock(&self, relation: usize) -> Option<Lock> {
        let relation = &self.relations[relation];
        relation.lock.filter(|_| relation.role == Role::Read)
    }
}

/// A statement that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The grammar doesn't know it.
    #[error("{0}")]
    Grammar(String),
    /// It would be read into a tree too deep to walk.
    #[error("an expression, or a part of a list, of more than {MOST_TOKENS} words and signs")]
    TooLong,
    /// It was read, but its tables can't be told for certain.
    #[error("a form that Flywheel doesn't follow to its tables")]
    Relations,
}

/// Reads `text`, one statement. Positions in the result are of `text`.
///
/// # Errors
/// The statement isn't understood. It must not be run when it may touch a store table.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    of_tree(&read(text)?)
}

/// What the tree of one statement says.
pub(crate) fn of_tree(tree: &Tree) -> Result<Parsed, ParseError> {
    let statement = statement(tree)?;
    let mut relations = relations(tree).ok_or(ParseError::Relations)?;
    let locking = locking(tree, &mut relations);
    let (text, tokens) = (tree.text(), lex(tree.text()));
    Ok(Parsed {
        mentions: mentions(text, &tokens, &relations),
        members: members(text, &tokens),
        shape: Shape::of(statement, &relations),
        new_values: NewValues::of(statement, &relations),
        on_conflict: inserted::on_conflict(tree),
        inserted: Inserted::of(tree),
        locking,
        relations,
        physical: Physical::of(tree.text()),
    })
}

/// The only statement of a text.
pub(crate) fn statement(tree: &Tree) -> Result<Node<'_>, ParseError> {
    let statements =
        tree.root().into_iter().flat_map(Node::nodes).filter(|node| !node.is(Kind::EMPTY_STMT));
    match statements.collect::<Vec<_>>()[..] {
        [only] => Ok(only),
        _ => Err(ParseError::Grammar("expected one statement".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnRef, Comparison, Constant, Fact, Role};

    fn names(text: &str) -> Vec<(String, Role)> {
        parse(text)
            .unwrap()
            .relations
            .into_iter()
            .map(|relation| (relation.name.to_string(), relation.role))
            .collect()
    }

    fn column(qualifier: Option<&str>, name: &str) -> ColumnRef {
        ColumnRef { qualifier: qualifier.map(str::to_owned), name: name.into() }
    }

    #[test]
    fn finds_every_relation_and_its_place() {
        let text = "WITH recent AS (SELECT * FROM \"Größe\", public.Sessions s)\n  SELECT * FROM recent JOIN users u ON true WHERE EXISTS (SELECT FROM history)";
        let parsed = parse(text).unwrap();
        let places: Vec<_> =
            parsed.relations.iter().map(|relation| &text[relation.range.clone()]).collect();
        assert_eq!(places, ["\"Größe\"", "public.Sessions", "users", "history"]);
        assert_eq!(parsed.relations[1].name.to_string(), "public.sessions");
    }

    #[test]
    fn a_cte_hides_a_table_only_where_it_is_visible() {
        assert_eq!(
            names("WITH s AS (SELECT * FROM s) SELECT * FROM s"),
            [("s".into(), Role::Read)]
        );
        assert_eq!(names("WITH RECURSIVE s AS (SELECT * FROM s) SELECT * FROM s"), []);
        assert_eq!(
            names("SELECT * FROM (WITH s AS (SELECT 1) SELECT * FROM s) x, s"),
            [("s".into(), Role::Read)]
        );
        assert_eq!(
            names("WITH s AS (SELECT 1) SELECT * FROM public.s"),
            [("public.s".into(), Role::Read)]
        );
    }

    #[test]
    fn roles() {
        assert_eq!(
            names("INSERT INTO t SELECT * FROM s"),
            [("t".into(), Role::Target), ("s".into(), Role::Read)]
        );
        assert_eq!(
            names("UPDATE t SET a = 1 FROM s WHERE t.id = s.id"),
            [("t".into(), Role::Target), ("s".into(), Role::Read)]
        );
        assert_eq!(
            names("DELETE FROM t USING s WHERE t.id = s.id"),
            [("t".into(), Role::Target), ("s".into(), Role::Read)]
        );
        assert_eq!(
            names(
                "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = (SELECT 1 FROM u) WHEN NOT MATCHED THEN INSERT VALUES (s.id)"
            ),
            [("t".into(), Role::Target), ("s".into(), Role::Read), ("u".into(), Role::Read)]
        );
        assert_eq!(names("TRUNCATE t")[0].1, Role::Object);
        assert_eq!(
            names("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d"),
            [("t".into(), Role::Target)]
        );
    }

    #[test]
    fn the_table_of_an_insert_is_the_one_that_is_inserted_into() {
        let parsed = parse("WITH w AS (UPDATE t SET a = 1 WHERE b = 2 RETURNING *) INSERT INTO t AS x SELECT * FROM w").unwrap();
        let found: Vec<_> = parsed
            .relations
            .iter()
            .map(|relation| (relation.inserted, relation.alias.as_deref()))
            .collect();
        assert_eq!(found, [(false, None), (true, Some("x"))]);
    }

    #[test]
    fn a_cast_in_front_of_between_belongs_to_it() {
        let facts = |text: &str| -> Vec<Fact> {
            let relations = parse(text).unwrap().relations;
            relations[0].conjuncts.iter().map(|conjunct| conjunct.fact.clone()).collect()
        };
        let a = Fact::Compare(column(None, "a"), Comparison::Equal, Constant::Number("1".into()));
        for (text, expected) in [
            ("b::int BETWEEN 1 AND 2 AND a = 1", vec![Fact::Other, a.clone()]),
            ("a = 1 AND b::int NOT BETWEEN 1 AND 2", vec![a.clone(), Fact::Other]),
            ("b::int::text BETWEEN 1 AND 2 OR a = 1", vec![Fact::Other]),
            (
                "(b::int BETWEEN 1 AND 2 AND c::int BETWEEN 3 AND 4) AND a = 1",
                vec![Fact::Other, Fact::Other, a.clone()],
            ),
            ("f(b::int BETWEEN 1 AND 2, c) AND a = 1", vec![Fact::Other, a]),
        ] {
            assert_eq!(facts(&format!("SELECT 1 FROM t WHERE {text}")), expected, "{text}");
        }
        let rows = parse("INSERT INTO t VALUES (1::int BETWEEN 0 AND 2, 5)")
            .unwrap()
            .inserted
            .unwrap()
            .rows;
        assert_eq!(rows, [vec![None, Some(Constant::Number("5".into()))]]);
        assert!(parse("UPDATE t SET a = 5::int BETWEEN 1 AND 2").unwrap().shape.is_none());
    }

    #[test]
    fn only_a_table_can_be_sampled() {
        // Rows in its place can't, so it isn't one that is read.
        let sampled = parse("SELECT * FROM t TABLESAMPLE SYSTEM (1), u").unwrap().relations;
        assert_eq!(
            sampled.iter().map(|relation| relation.role).collect::<Vec<_>>(),
            [Role::Object, Role::Read]
        );
    }

    #[test]
    fn no_text_is_too_deep_for_the_stack() {
        for kind in ["a = 1 OR ", "a = 1 AND ", "'x' || ", "1 + ", "a IS NULL = ", "(a) * "] {
            let text = |count: usize| format!("SELECT * FROM t WHERE {}a", kind.repeat(count));
            assert!(parse(&text(4_000)).is_ok(), "{kind}");
            assert_eq!(parse(&text(200_000)).err(), Some(ParseError::TooLong), "{kind}");
        }
        for chain in ["::text", " IS NULL", " COLLATE \"C\""] {
            assert_eq!(
                parse(&format!("SELECT a{} FROM t", chain.repeat(200_000))).err(),
                Some(ParseError::TooLong)
            );
        }
        for (open, close) in [
            ("(", ")"),
            ("NOT (", ")"),
            ("CASE WHEN ", " THEN 1 END"),
            ("ARRAY[", "]"),
            ("- ", ""),
            ("@ ", ""),
            ("(SELECT ", ")"),
        ] {
            let text = |count: usize| {
                format!("SELECT {}a{} FROM t", open.repeat(count), close.repeat(count))
            };
            assert!(parse(&text(1_000)).is_ok(), "{open}");
            assert_eq!(parse(&text(100_000)).err(), Some(ParseError::TooLong), "{open}");
        }
        for chain in [" CROSS JOIN t", " NATURAL JOIN t", " JOIN t ON true", ", t"] {
            let text = |count: usize| format!("SELECT 1 FROM t{}", chain.repeat(count));
            assert!(parse(&text(200)).is_ok(), "{chain}");
            assert!(parse(&text(3_000)).is_err(), "{chain}");
        }
        assert!(
            parse(&format!("SELECT 1 FROM t{}", " UNION SELECT 1 FROM t".repeat(3_000))).is_ok()
        );
        let rows = "(1, 'a', NULL), ".repeat(20_000);
        assert!(parse(&format!("INSERT INTO t VALUES {rows}(1, 'b', 2)")).is_ok());
    }

    #[test]
    fn only_belongs_to_the_name_behind_it() {
        let text = "SELECT * FROM \"only\" o, ONLY s.t, only (u) x FOR UPDATE OF x";
        let relations = parse(text).unwrap().relations;
        let found: Vec<_> = relations
            .iter()
            .map(|relation| (&text[relation.range.clone()], relation.qualifier()))
            .collect();
        assert_eq!(found, [("\"only\"", "o"), ("ONLY s.t", "t"), ("only (u)", "x")]);
        assert!(parse("DELETE FROM ONLY t WHERE a = 1").unwrap().shape.is_some());
    }

    #[test]
    fn a_subquery_sees_the_queries_around_it() {
        let seen = |text: &str, name: &str| -> Vec<String> {
            let relations = parse(text).unwrap().relations;
            let inner = relations.iter().find(|relation| relation.name.name == name).unwrap();
            inner.outer.iter().map(|&at| relations[at].name.name.clone()).collect()
        };
        assert_eq!(
            seen("SELECT * FROM u WHERE EXISTS (SELECT 1 FROM h WHERE h.a = u.a)", "h"),
            ["u"]
        );
        assert_eq!(
            seen("SELECT (SELECT a FROM h ORDER BY (SELECT 1 FROM i)) FROM u", "i"),
            ["h", "u"]
        );
        assert_eq!(seen("UPDATE u SET a = (SELECT 1 FROM h) FROM v", "h"), ["u", "v"]);
        // Two of a name, or something whose name isn't known.
        assert_eq!(seen("SELECT (SELECT (SELECT 1 FROM h) FROM x u) FROM u", "h"), [""; 0]);
        assert_eq!(
            seen("SELECT (SELECT (SELECT 1 FROM h) FROM (SELECT 1) u) FROM u", "h"),
            [""; 0]
        );
        assert_eq!(seen("SELECT (SELECT 1 FROM h) FROM u, (v CROSS JOIN w) AS x", "h"), [""; 0]);
        // Beside it, not around it.
        assert_eq!(seen("WITH c AS (SELECT 1 FROM h) SELECT * FROM u, c", "h"), [""; 0]);
        assert_eq!(seen("SELECT 1 FROM u UNION SELECT 1 FROM h", "h"), [""; 0]);
        assert_eq!(seen("INSERT INTO u SELECT 1 FROM h", "h"), [""; 0]);
    }

    #[test]
    fn members_of_a_subquery() {
        let members = |text: &str| -> Vec<(String, String)> {
            let relations = parse(text).unwrap().relations;
            let name = |column: &ColumnRef| {
                [column.qualifier.as_deref().unwrap_or_default(), &column.name].join(".")
            };
            let facts = relations
                .iter()
                .flat_map(|relation| &relation.conjuncts)
                .map(|conjunct| &conjunct.fact);
            facts
                .filter_map(|fact| match fact {
                    Fact::Member { column, inner, .. } => Some((name(column), name(inner))),
                    _ => None,
                })
                .collect()
        };
        let is = |text: &str, column: &str, inner: &str| {
            assert_eq!(members(text), [(column.to_owned(), inner.to_owned())], "{text}")
        };
        is("SELECT 1 FROM h WHERE a IN (SELECT b FROM u)", ".a", ".b");
        is("SELECT 1 FROM h WHERE h.a = ANY (SELECT u.b FROM u, v LIMIT 1)", "h.a", "u.b");
        is("SELECT 1 FROM h WHERE EXISTS (SELECT 1 FROM u WHERE b = h.a)", "h.a", ".b");
        for text in [
            "SELECT 1 FROM h WHERE a NOT IN (SELECT b FROM u)",
            "SELECT 1 FROM h WHERE a IN (SELECT b FROM u) OR c",
            "SELECT 1 FROM h WHERE a IN (SELECT max(b) FROM u)",
            "SELECT 1 FROM h WHERE a IN (SELECT b FROM u, v)",
            "SELECT 1 FROM h WHERE a IN (SELECT b FROM u UNION SELECT 1)",
            "SELECT 1 FROM h WHERE NOT EXISTS (SELECT 1 FROM u WHERE b = h.a)",
            "SELECT 1 FROM h WHERE EXISTS (SELECT max(b) FROM u WHERE b = h.a)",
            "SELECT 1 FROM h WHERE EXISTS (SELECT 1 FROM u h WHERE b = h.a)",
        ] {
            assert_eq!(members(text), [], "{text}");
        }
    }

    #[test]
    fn outer_joins_bound_only_the_side_they_may() {
        let facts = |text: &str, at: usize| -> Vec<Fact> {
            parse(text).unwrap().relations[at]
                .conjuncts
                .iter()
                .map(|conjunct| conjunct.fact.clone())
                .collect()
        };
        let on = Fact::Same(column(Some("h"), "u"), column(Some("u"), "id"));
        assert_eq!(facts("SELECT * FROM h LEFT JOIN u ON h.u = u.id", 0), []);
        assert_eq!(
            facts("SELECT * FROM h LEFT JOIN u ON h.u = u.id", 1),
            std::slice::from_ref(&on)
        );
        assert_eq!(facts("SELECT * FROM u RIGHT JOIN h ON h.u = u.id", 1), []);
        assert_eq!(facts("SELECT * FROM u FULL JOIN h ON h.u = u.id", 1), []);
        let merge =
            |clause: &str| format!("MERGE INTO h USING u ON h.u = u.id WHEN {clause} THEN DELETE");
        assert_eq!(facts(&merge("MATCHED"), 0), std::slice::from_ref(&on));
        assert_eq!(facts(&merge("MATCHED"), 1), []);
        assert_eq!(facts(&merge("NOT MATCHED BY SOURCE"), 0), []);
        let where_ =
            Fact::Compare(column(Some("u"), "id"), Comparison::Equal, Constant::Number("7".into()));
        assert_eq!(facts("SELECT * FROM u JOIN h ON h.u = u.id WHERE u.id = 7", 1), [where_, on]);
    }
}
