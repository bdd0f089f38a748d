//! The code that a database has in it, which statements run without naming it: functions, and the
//! expressions of views, rules, defaults, checks, policies and indexes that call what may change a
//! session.
//!
//! A further way by which a statement runs code that it doesn't name is a dependency here, and what
//! `statement/suspects.rs` makes of it; `tests/e2e/settings/` has a line for each.

use std::collections::HashSet;

use crate::{Connection, Rows, ServerError};

/// One piece of it.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The function's, view's, table's or domain's name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// Its text.
    pub text: String,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Functions that aren't PostgreSQL's own, and expressions in which a function of its own may
    /// change the session.
    pub pieces: Vec<Piece>,
    /// What uses what, by their names: the first runs code of the second. `*` stands for what has
    /// no name in a statement, such as an operator.
    pub uses: Vec<(String, String)>,
    /// The names of all functions.
    pub functions: HashSet<String>,
    /// The names of all tables and views.
    pub relations: HashSet<String>,
    /// Others mean that something of this has changed.
    pub digest: Digest,
}

/// What the catalogue is like, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    /// Of code.
    pub code: String,
    /// Of what ALTER ROLE and ALTER DATABASE have set.
    pub defaults: String,
    /// Whether the connection that was asked would begin with some.
    pub has_own_defaults: bool,
}

/// PostgreSQL's own functions that change the session, or run a text that they are given.
const OWN: &str = "('set_config', 'setseed', 'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_try_advisory_lock', \
 'pg_try_advisory_lock_shared', 'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema', 'table_to_xml', \
 'table_to_xml_and_xmlschema', 'schema_to_xml', 'schema_to_xml_and_xmlschema', 'database_to_xml', \
 'database_to_xml_and_xmlschema', 'ts_stat', 'ts_rewrite')";

/// The connection may have a client's settings. A client waits for the answer: not for somebody who
/// has locked a part of the catalogue, or a table that an expression names.
const PATIENTLY: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '100ms'";

const FUNCTIONS: &str = "
SELECT p.proname, l.lanname, coalesce(nullif(p.prosrc, ''), pg_catalog.pg_get_functiondef(p.oid))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND l.lanname <> 'c' AND p.prokind IN ('f', 'p')";

/// Expressions are searched as they are stored, by the functions' numbers, before the few that
/// remain are printed.
const EXPRESSIONS: &str = "
WITH own AS MATERIALIZED (SELECT ':(funcid|opfuncid|winfnoid|aggfnoid) (' || pg_catalog.string_agg(oid::pg_catalog.text, '|') || ')[ }]' AS tree
  FROM pg_catalog.pg_proc WHERE oid < 16384 AND proname IN OWN),
 settings AS MATERIALIZED (SELECT ':relid ' || 'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid || ' ' AS tree)
SELECT c.relname, pg_catalog.pg_get_ruledef(r.oid) || CASE WHEN r.ev_action::pg_catalog.text ~ settings.tree THEN '; RESET ALL' ELSE '' END
 FROM own, settings, pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 WHERE r.oid >= 16384 AND (r.ev_action::pg_catalog.text ~ own.tree OR r.ev_qual::pg_catalog.text ~ own.tree OR r.ev_action::pg_catalog.text ~ settings.tree)
UNION ALL SELECT c.relname, pg_catalog.pg_get_expr(a.adbin, a.adrelid) FROM own, pg_catalog.pg_attrdef a JOIN pg_catalog.pg_class c ON c.oid = a.adrelid
 WHERE a.adbin::pg_catalog.text ~ own.tree
UNION ALL SELECT coalesce(c.relname, t.typname), pg_catalog.pg_get_constraintdef(k.oid) FROM own, pg_catalog.pg_constraint k
 LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid
 WHERE k.oid >= 16384 AND k.conbin::pg_catalog.text ~ own.tree
UNION ALL SELECT c.relname, coalesce(pg_catalog.pg_get_expr(o.polqual, o.polrelid), '') || ';' || coalesce(pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid), '')
 FROM own, pg_catalog.pg_policy o JOIN pg_catalog.pg_class c ON c.oid = o.polrelid
 WHERE o.polqual::pg_catalog.text ~ own.tree OR o.polwithcheck::pg_catalog.text ~ own.tree
UNION ALL SELECT c.relname, pg_catalog.pg_get_triggerdef(g.oid) FROM own, pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
 WHERE NOT g.tgisinternal AND g.tgqual::pg_catalog.text ~ own.tree";

/// A trigger's table runs the trigger's function, which is where the chain begins; foreign keys and
/// partitions lead from the table that a statement names to others.
const USES: &str = "
WITH things AS (
 SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS class, c.oid, coalesce(t.relname, c.relname)::pg_catalog.text AS name
  FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid WHERE c.oid >= 16384
 UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proname FROM pg_catalog.pg_proc WHERE oid >= 16384
 UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typname FROM pg_catalog.pg_type WHERE oid >= 16384
 UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, c.relname FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, a.oid, c.relname FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_class c ON c.oid = a.adrelid
 UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, c.relname FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
 UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, o.oid, c.relname FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_class c ON c.oid = o.polrelid
 UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, coalesce(c.relname, t.typname) FROM pg_catalog.pg_constraint k
  LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid
 UNION ALL SELECT class::pg_catalog.regclass, NULL, '*' FROM (VALUES ('pg_catalog.pg_operator'), ('pg_catalog.pg_cast'), ('pg_catalog.pg_amproc'), ('pg_catalog.pg_amop'),
  ('pg_catalog.pg_event_trigger'), ('pg_catalog.pg_conversion'), ('pg_catalog.pg_transform')) AS unnamed (class))
SELECT DISTINCT u.name, o.name FROM pg_catalog.pg_depend d
 JOIN things u ON u.class = d.classid AND (u.oid = d.objid OR u.oid IS NULL)
 JOIN things o ON o.class = d.refclassid AND o.oid = d.refobjid
 WHERE u.name <> o.name AND u.name IS NOT NULL AND o.name IS NOT NULL
UNION SELECT p.relname, c.relname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_class c ON c.oid = k.conrelid WHERE k.contype = 'f'
UNION SELECT p.relname, c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid";

const NAMES: &str = "SELECT DISTINCT proname FROM pg_catalog.pg_proc;
SELECT DISTINCT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";

fn digest_query() -> String {
    let digests = [
        ("pg_proc", "oid >= 16384"),
        ("pg_rewrite", "oid >= 16384"),
        ("pg_attrdef", "true"),
        ("pg_trigger", "NOT tgisinternal"),
        ("pg_policy", "true"),
        ("pg_constraint", "oid >= 16384"),
        ("pg_inherits", "true"),
        ("pg_operator", "oid >= 16384"),
        ("pg_cast", "oid >= 16384"),
        ("pg_event_trigger", "true"),
    ];
    let digests = digests.map(|(catalogue, condition)| {
        format!(
            "(SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) \
             FROM pg_catalog.{catalogue} WHERE {condition})"
        )
    });
    format!(
        "SELECT pg_catalog.concat_ws(',', {}), (SELECT NULLIF(pg_catalog.concat_ws(':', pg_catalog.count(*), \
         pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)), '0') FROM pg_catalog.pg_db_role_setting \
         WHERE setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())), \
         EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s \
         WHERE (setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) \
         AND (setrole = 0 OR setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user)))",
        digests.join(", ")
    )
}

fn pairs(rows: &Rows) -> impl Iterator<Item = (String, String)> {
    (0..rows.rows.len()).map(|row| (rows.text(row, 0).to_owned(), rows.text(row, 1).to_owned()))
}

fn names(rows: &Rows) -> HashSet<String> {
    (0..rows.rows.len()).map(|row| rows.text(row, 0).to_owned()).collect()
}

impl Code {
    /// Reads all of it. What uses what is read only where there is something that `matters`.
    ///
    /// # Errors
    /// The connection broke, or the role may not read the catalogue.
    pub async fn load(
        connection: &mut Connection,
        matters: impl Fn(&Piece) -> bool,
    ) -> Result<Self, ServerError> {
        // First the digest: what changes while the rest is read makes it another one.
        let digest = Self::digest(connection).await?;
        let expressions = EXPRESSIONS.replace("OWN", OWN);
        let results = connection
            .query_in_utf8(&[PATIENTLY, FUNCTIONS, &expressions, NAMES].join(";"))
            .await?;
        let [_, _, functions, expressions, all_functions, relations] = &results[..] else {
            return Ok(Self::default());
        };
        let mut pieces: Vec<_> = (0..functions.rows.len())
            .map(|row| Piece {
                name: functions.text(row, 0).to_owned(),
                language: functions.text(row, 1).to_owned(),
                text: functions.text(row, 2).to_owned(),
            })
            .collect();
        pieces.extend(pairs(expressions).map(|(name, text)| Piece {
            name,
            language: "sql".to_owned(),
            text,
        }));
        let mut uses = Vec::new();
        if pieces.iter().any(matters) {
            let results = connection.query_in_utf8(&[PATIENTLY, USES].join(";")).await?;
            uses.extend(results.last().into_iter().flat_map(pairs));
        }
        Ok(Self {
            pieces,
            uses,
            functions: names(all_functions),
            relations: names(relations),
            digest,
        })
    }

    /// The digest as it is now.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn digest(connection: &mut Connection) -> Result<Digest, ServerError> {
        let results = connection.query_in_utf8(&[PATIENTLY, &digest_query()].join(";")).await?;
        let text = |column| results.last().map_or("", |rows| rows.text(0, column)).to_owned();
        Ok(Digest { code: text(0), defaults: text(1), has_own_defaults: text(2) == "t" })
    }
}
