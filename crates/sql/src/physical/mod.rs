//! What a statement asks of a table that rows standing in its place can't answer: its system
//! columns, and, where it writes, its name with its schema in front of a column.
//!
//! All of it is known from the words. Where a system column's value can only meet values of the
//! same statement, the statement may run over rows that are put into the table for it; where the
//! value reaches the client, or meets one that the client brings, it can't: it is another one each
//! time.

mod escape;
mod outline;

use std::collections::BTreeSet;

use crate::lex::TokenKind;

use escape::Escapes;
use outline::Outline;

/// Columns that every table has beside its own.
const SYSTEM: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// What only a table has, in a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Physical {
    /// The system columns that it names.
    pub columns: Vec<SystemColumn>,
    /// Every `schema.table` in front of a column.
    pub qualified: BTreeSet<(String, String)>,
    /// TABLESAMPLE or WHERE CURRENT OF: the clause by its name.
    pub clause: Option<&'static str>,
}

/// A place where a statement names a system column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemColumn {
    /// Which.
    pub name: String,
    /// What stands in front of it.
    pub qualifier: Option<String>,
    /// Whether its value, which is another one in each statement, may leave the statement or meet a
    /// value from outside.
    pub escapes: bool,
}

impl Physical {
    pub(crate) fn of(text: &str) -> Self {
        let outline = Outline::of(text);
        let mut found = Self::default();
        for at in 0..outline.len() {
            if outline.is(at, "tablesample") && outline.follows_relation(at) {
                found.clause = Some("TABLESAMPLE");
            } else if outline.is(at, "current") && outline.is(at + 1, "of") {
                found.clause = Some("WHERE CURRENT OF");
            }
            if let Some(schema_and_table) = outline.qualified(at) {
                found.qualified.insert(schema_and_table);
            }
        }
        let places: Vec<usize> = (0..outline.len())
            .filter(|&at| outline.is_reference(at) && SYSTEM.contains(&&*outline.word(at)))
            .collect();
        if places.is_empty() {
            return found;
        }
        let escapes = Escapes::any(&outline);
        found.columns = places
            .into_iter()
            .map(|at| SystemColumn {
                name: outline.word(at).into_owned(),
                qualifier: outline.qualifier(at),
                // PostgreSQL's own table is the same one in every statement.
                escapes: !outline.is_word_of(at, "tableoid") && escapes,
            })
            .collect();
        found
    }
}

/// Whether a token can be a name.
fn is_name(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Word | TokenKind::QuotedWord)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaping(text: &str) -> Option<bool> {
        let columns = Physical::of(text).columns;
        (!columns.is_empty()).then(|| columns.iter().any(|column| column.escapes))
    }

    #[test]
    fn what_stays_within_the_statement() {
        for text in [
            "DELETE FROM h WHERE u = 5 AND ctid IN (SELECT ctid FROM h WHERE u = 5 ORDER BY t LIMIT 2)",
            "DELETE FROM h WHERE h.ctid = ANY (ARRAY(SELECT ctid FROM h WHERE u = 5 LIMIT 2 FOR UPDATE SKIP LOCKED))",
            "DELETE FROM h WHERE ctid = ANY (SELECT x.ctid FROM h x)",
            "UPDATE h SET v = 1 WHERE ctid = (SELECT ctid FROM h WHERE u = 5 LIMIT 1) RETURNING id",
            "DELETE FROM h USING h AS o WHERE h.u = o.u AND h.ctid < o.ctid",
            "DELETE FROM h a WHERE a.ctid <> (SELECT min(b.ctid) FROM h b WHERE a.u = b.u)",
            "DELETE FROM h WHERE ctid NOT IN (SELECT min(ctid) FROM h GROUP BY u)",
            "WITH d AS (SELECT ctid FROM h WHERE u = 5 LIMIT 2) DELETE FROM h USING d WHERE h.ctid = d.ctid",
            "WITH d AS (SELECT ctid AS place FROM h LIMIT 2) DELETE FROM h USING d WHERE h.ctid = d.place RETURNING h.*",
            "WITH d AS MATERIALIZED (SELECT ctid FROM h LIMIT 2) DELETE FROM h WHERE ctid IN (SELECT ctid FROM d)",
            "UPDATE h SET v = 1 FROM (SELECT ctid FROM h LIMIT 2 FOR UPDATE) AS q WHERE h.ctid = q.ctid",
            "DELETE FROM h WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY u ORDER BY t) AS n FROM h) q WHERE n > 1)",
            "DELETE FROM h WHERE ctid = ANY(ARRAY(SELECT ctid FROM h ORDER BY ctid LIMIT 1))",
            "SELECT tableoid::regclass, id FROM h",
            "SELECT id FROM h WHERE (ctid = (SELECT max(ctid) FROM h)) IS TRUE",
        ] {
            assert_eq!(escaping(text), Some(false), "{text}");
        }
    }

    #[test]
    fn what_leaves_it() {
        for text in [
            "SELECT ctid FROM h",
            "SELECT h.ctid, id FROM h",
            "SELECT id, xmin::text FROM h",
            "SELECT id FROM h ORDER BY ctid",
            "SELECT max(ctid) FROM h",
            "SELECT (SELECT ctid FROM h LIMIT 1)",
            "SELECT x FROM (SELECT ctid AS x FROM h) q",
            "SELECT x FROM (SELECT ctid x FROM h) q",
            "SELECT * FROM (SELECT ctid FROM h) q",
            "SELECT q FROM (SELECT ctid FROM h) q",
            "SELECT to_json(q) FROM (SELECT ctid FROM h) AS q",
            "SELECT q.* FROM (SELECT ctid FROM h) q",
            "SELECT r.* FROM d AS r, (SELECT 1) s, (SELECT ctid FROM h) AS d",
            "SELECT z FROM (SELECT ctid FROM h) q(z)",
            "WITH d(z) AS (SELECT ctid FROM h) SELECT z FROM d",
            "WITH d AS (SELECT ctid FROM h) TABLE d",
            "WITH d AS (SELECT ctid FROM h) DELETE FROM h USING d WHERE h.ctid = d.ctid RETURNING *",
            "WITH d AS (SELECT ctid FROM h) SELECT e.* FROM d AS e",
            "SELECT min FROM (SELECT min(ctid) FROM h) q",
            "DELETE FROM h WHERE ctid = '(0,1)'",
            "DELETE FROM h WHERE ctid = $1",
            "DELETE FROM h WHERE '(0,1)'::tid = ctid",
            "DELETE FROM h WHERE ctid = ANY ($1)",
            "DELETE FROM h WHERE ctid = ANY (ARRAY['(0,1)'::tid])",
            "DELETE FROM h WHERE ctid IN ('(0,1)', '(0,2)')",
            "DELETE FROM h WHERE ctid IN (SELECT place FROM saved)",
            "DELETE FROM h WHERE ctid IN (SELECT unnest($1::tid[]))",
            "DELETE FROM h WHERE ctid IN (SELECT ctid FROM h UNION SELECT '(0,1)')",
            "DELETE FROM h WHERE (ctid, u) IN (SELECT ctid, u FROM h)",
            "DELETE FROM h WHERE ctid = ctid || ''",
            "UPDATE h SET v = xmin::text WHERE id = 1",
            "UPDATE h SET v = 1 WHERE id = 1 AND xmin = 7",
            "UPDATE h SET v = 1 WHERE id = 1 AND age(xmin) > 3",
            "UPDATE h SET v = 1 WHERE id = 1 RETURNING xmin",
            "INSERT INTO h SELECT id + 1, ctid::text FROM h",
            "SELECT id FROM h WHERE ctid > (SELECT ctid FROM h LIMIT 1) || '(0,1)'",
        ] {
            assert_eq!(escaping(text), Some(true), "{text}");
        }
    }

    #[test]
    fn what_is_no_system_column() {
        for text in [
            "SELECT min(x) AS xmin FROM h",
            "SELECT xmin(box) FROM h",
            "SELECT 'ctid' FROM h",
            "SELECT 1 FROM ctid.h",
        ] {
            assert_eq!(escaping(text), None, "{text}");
        }
    }

    #[test]
    fn names_with_their_schema() {
        let qualified = |text: &str| {
            Physical::of(text)
                .qualified
                .into_iter()
                .map(|(schema, table)| format!("{schema}.{table}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            qualified("SELECT public.t.a, \"S\".u.* FROM public.t, \"S\".u"),
            ["S.u", "public.t"]
        );
        assert_eq!(qualified("SELECT t.a, public.f(1) FROM public.t"), [""; 0]);
    }

    #[test]
    fn clauses_of_tables() {
        assert_eq!(
            Physical::of("SELECT * FROM t TABLESAMPLE SYSTEM (1)").clause,
            Some("TABLESAMPLE")
        );
        assert_eq!(
            Physical::of("DELETE FROM t WHERE CURRENT OF c").clause,
            Some("WHERE CURRENT OF")
        );
        assert_eq!(Physical::of("SELECT tablesample FROM t").clause, None);
    }
}
