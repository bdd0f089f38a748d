//! What depends on what in a database: what a query reads through views and functions, and what a
//! write reaches through triggers, rules, foreign keys and partitions.
//!
//! A further way by which a write reaches a table is a `Link` here; `answers/caching/graph.rs` says
//! what it means for reads and writes, and `tests/e2e/cache_writes.rs` has a line for each.

use std::collections::HashMap;

use crate::rights::RIGHTS;
use crate::{Connection, Rows, ServerError};

/// A relation.
#[derive(Debug, Clone)]
pub struct RelationFacts {
    /// `pg_class.oid`
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `pg_class.relkind`
    pub kind: char,
    /// It has row-level security.
    pub has_policies: bool,
    /// A view's query.
    pub query: String,
}

/// A function that isn't one of PostgreSQL's own.
#[derive(Debug, Clone)]
pub struct FunctionFacts {
    /// Its name.
    pub name: String,
    /// `pg_proc.provolatile`
    pub volatility: char,
    /// Its language.
    pub language: String,
    /// Its body; the name of PostgreSQL's own function where it stands for one; empty for a
    /// function in C.
    pub body: String,
    /// The extension that it belongs to.
    pub extension: String,
    /// It can be called as if it were a column.
    pub is_column: bool,
    /// Functions that an aggregate consists of.
    pub parts: Vec<u32>,
}

/// A function that checks values of a type: its own, or those of a domain in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeCheck {
    /// Who uses the type.
    pub of: TypeUser,
    /// The function that checks.
    pub function: u32,
}

/// What uses a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeUser {
    /// Whoever names it.
    Name(String),
    /// A relation with a column of it, or which it is the row type of.
    Relation(u32),
    /// A function with a parameter or result of it.
    Function(u32),
}

/// A column of a primary key.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// Its type modifier.
    pub typmod: i32,
    /// Its type is no domain, and its collation takes different texts for different.
    pub is_plain: bool,
}

/// What a relation leads to, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// A view's query reads a relation.
    Reads(u32),
    /// A view's query calls a function.
    ReadsBy(u32),
    /// A rule names a relation.
    Rule(u32),
    /// A rule calls a function.
    RuleBy(u32),
    /// It inherits from a relation, or is a partition of it.
    Parent(u32),
    /// Another's foreign key refers to it; whether that changes the other's rows.
    Referenced {
        /// The other.
        by: u32,
        /// ON DELETE or ON UPDATE does more than refuse.
        cascades: bool,
    },
    /// A trigger calls a function.
    Trigger(u32),
    /// A default or a check calls a function.
    Calls(u32),
    /// A policy reads a relation.
    Policy(u32),
    /// A policy calls a function.
    PolicyBy(u32),
}

/// The whole.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// Tables and views, those of the system too.
    pub relations: Vec<RelationFacts>,
    /// Functions by their oids.
    pub functions: HashMap<u32, FunctionFacts>,
    /// What relations lead to.
    pub links: Vec<(u32, Link)>,
    /// The columns of primary keys in their order, by table.
    pub keys: HashMap<u32, Vec<KeyColumn>>,
    /// PostgreSQL's own volatile functions.
    pub volatile: Vec<String>,
    /// Functions behind operators and casts that aren't PostgreSQL's own.
    pub hidden: Vec<u32>,
    /// Functions of operator classes that aren't PostgreSQL's own.
    pub supporting: Vec<u32>,
    /// Functions of event triggers.
    pub on_definitions: Vec<u32>,
    /// What a type's values are checked by, in a domain for instance.
    pub checks: Vec<TypeCheck>,
    /// A digest: another one means that something of this has changed.
    pub digest: String,
}

const RELATIONS: &str = "
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_toast%'";

const FUNCTIONS: &str = "
SELECT p.oid, p.proname, p.provolatile, l.lanname,
       CASE WHEN l.lanname = 'c' OR p.prokind NOT IN ('f', 'p') THEN '' ELSE coalesce(nullif(p.prosrc, ''), pg_catalog.regexp_replace(pg_catalog.pg_get_functiondef(p.oid), '^CREATE OR REPLACE ', '')) END,
       coalesce((SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1), ''),
       p.pronargs = 1 AND EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype = 'c'),
       coalesce((SELECT pg_catalog.concat_ws(',', a.aggtransfn::pg_catalog.oid, a.aggfinalfn::pg_catalog.oid, a.aggcombinefn::pg_catalog.oid, a.aggserialfn::pg_catalog.oid,
                 a.aggdeserialfn::pg_catalog.oid, a.aggmtransfn::pg_catalog.oid, a.aggminvtransfn::pg_catalog.oid, a.aggmfinalfn::pg_catalog.oid)
                 FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid::pg_catalog.oid = p.oid), '')
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384";

const LINKS: &str = "
SELECT r.ev_class, CASE WHEN d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN CASE r.ev_type WHEN '1' THEN 'reads' ELSE 'rule' END
       ELSE CASE r.ev_type WHEN '1' THEN 'reads by' ELSE 'rule by' END END, d.refobjid
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
 AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
WHERE r.ev_class >= 16384 AND NOT (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.ev_class)
UNION SELECT inhrelid, 'parent', inhparent FROM pg_catalog.pg_inherits
UNION SELECT confrelid, CASE WHEN confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd') THEN 'cascades' ELSE 'referenced' END, conrelid
 FROM pg_catalog.pg_constraint WHERE contype = 'f'
UNION SELECT tgrelid, 'trigger', tgfoid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'
UNION SELECT a.adrelid, 'calls', d.refobjid FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
 AND d.objid = a.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION SELECT k.conrelid, 'calls', d.refobjid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
 AND d.objid = k.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass WHERE k.conrelid <> 0
UNION SELECT coalesce(i.indrelid, d.objid), 'calls', d.refobjid FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = d.objid
 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
UNION SELECT o.polrelid, CASE WHEN d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN 'policy' ELSE 'policy by' END, d.refobjid
 FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = o.oid
 AND d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass) WHERE d.refobjid <> o.polrelid";

const KEYS: &str = "
SELECT i.indrelid, a.attname, a.atttypid, a.atttypmod, t.typtype = 'b' AND coalesce(l.collisdeterministic, true)
FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE i.indisprimary AND i.indrelid >= 16384 AND k.position <= i.indnkeyatts ORDER BY i.indrelid, k.position";

const HIDDEN: &str = "
SELECT oprcode::pg_catalog.oid FROM pg_catalog.pg_operator WHERE oid >= 16384 AND oprcode::pg_catalog.oid >= 16384
UNION SELECT castfunc FROM pg_catalog.pg_cast WHERE castfunc >= 16384";

const SUPPORTING: &str = "
SELECT DISTINCT amproc::pg_catalog.oid FROM pg_catalog.pg_amproc WHERE amproc::pg_catalog.oid >= 16384";

const ON_DEFINITIONS: &str = "
SELECT evtfoid FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'";

/// From the domains whose checks call functions to all that is made of them.
const CHECKS: &str = "
WITH RECURSIVE checked(function, type) AS (
  SELECT d.refobjid, k.contypid FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
   AND d.objid = k.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  WHERE k.contypid <> 0
  UNION
  SELECT c.function, coalesce(r.reltype, d.objid) FROM checked c
  JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = c.type
   AND d.classid IN ('pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass)
  LEFT JOIN pg_catalog.pg_class r ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = d.objid
)
SELECT t.typname, t.typrelid, 0, c.function FROM checked c JOIN pg_catalog.pg_type t ON t.oid = c.type
UNION SELECT '', 0, d.objid, c.function FROM checked c
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = c.type
 AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass";

const VOLATILE: &str =
    "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE oid < 16384 AND provolatile = 'v'";

/// Rights are in it too: what somebody may not read any more must not come from memory.
const DIGEST: &str = "
WITH lasting AS (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence <> 't')
SELECT pg_catalog.concat_ws(',',
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtext(pg_catalog.concat_ws(',', c.oid, c.relname, c.relnamespace, c.relkind, c.relrowsecurity,
   c.relforcerowsecurity, c.relowner, c.relacl))::pg_catalog.int8)) FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't'),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attribute
   WHERE attrelid >= 16384 AND attrelid IN (SELECT oid FROM lasting)),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_attrdef WHERE adrelid IN (SELECT oid FROM lasting)),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_trigger WHERE tgrelid IN (SELECT oid FROM lasting)),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_constraint WHERE conrelid IN (SELECT oid FROM lasting) OR contypid <> 0),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_event_trigger),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_rewrite WHERE ev_class IN (SELECT oid FROM lasting)),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_inherits),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_policy),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_proc WHERE oid >= 16384),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_operator WHERE oid >= 16384),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.pg_cast WHERE oid >= 16384), {rights})";

fn number(rows: &Rows, row: usize, column: usize) -> u32 {
    rows.text(row, column).parse().unwrap_or_default()
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or_default()
}

impl Dependencies {
    /// Reads all of it.
    ///
    /// # Errors
    /// The connection broke, or the role may not read the catalogue.
    pub async fn load(connection: &mut Connection) -> Result<Self, ServerError> {
        // First the digest: what changes while the rest is read makes it another one.
        let digest = digest(connection).await?;
        let sql = [
            RELATIONS,
            FUNCTIONS,
            LINKS,
            KEYS,
            HIDDEN,
            VOLATILE,
            SUPPORTING,
            ON_DEFINITIONS,
            CHECKS,
        ];
        let sql = sql.join(";");
        let results = connection.query_in_utf8(&sql).await?;
        let [
            relations,
            functions,
            links,
            keys,
            hidden,
            volatile,
            supporting,
            on_definitions,
            checks,
        ] = &results[..]
        else {
            return Ok(Self::default());
        };
        let mut all = Self { digest, ..Self::default() };
        for row in 0..relations.rows.len() {
            all.relations.push(RelationFacts {
                oid: number(relations, row, 0),
                schema: relations.text(row, 1).to_owned(),
                name: relations.text(row, 2).to_owned(),
                kind: first(relations.text(row, 3)),
                has_policies: relations.text(row, 4) == "t",
                query: relations.text(row, 5).to_owned(),
            });
        }
        for row in 0..functions.rows.len() {
            let facts = FunctionFacts {
                name: functions.text(row, 1).to_owned(),
                volatility: first(functions.text(row, 2)),
                language: functions.text(row, 3).to_owned(),
                body: functions.text(row, 4).to_owned(),
                extension: functions.text(row, 5).to_owned(),
                is_column: functions.text(row, 6) == "t",
                parts: functions
                    .text(row, 7)
                    .split(',')
                    .filter_map(|oid| oid.parse().ok())
                    .collect(),
            };
            all.functions.insert(number(functions, row, 0), facts);
        }
        for row in 0..links.rows.len() {
            let to = number(links, row, 2);
            let link = match links.text(row, 1) {
                "reads" => Link::Reads(to),
                "reads by" => Link::ReadsBy(to),
                "rule" => Link::Rule(to),
                "rule by" => Link::RuleBy(to),
                "parent" => Link::Parent(to),
                kind @ ("cascades" | "referenced") => {
                    Link::Referenced { by: to, cascades: kind == "cascades" }
                }
                "trigger" => Link::Trigger(to),
                "calls" => Link::Calls(to),
                "policy" => Link::Policy(to),
                _ => Link::PolicyBy(to),
            };
            all.links.push((number(links, row, 0), link));
        }
        for row in 0..keys.rows.len() {
            let column = KeyColumn {
                name: keys.text(row, 1).to_owned(),
                type_oid: number(keys, row, 2),
                typmod: keys.text(row, 3).parse().unwrap_or(-1),
                is_plain: keys.text(row, 4) == "t",
            };
            all.keys.entry(number(keys, row, 0)).or_default().push(column);
        }
        let numbers = |rows: &Rows| (0..rows.rows.len()).map(|row| number(rows, row, 0)).collect();
        all.hidden = numbers(hidden);
        all.supporting = numbers(supporting);
        all.on_definitions = numbers(on_definitions);
        for row in 0..checks.rows.len() {
            let (relation, caller) = (number(checks, row, 1), number(checks, row, 2));
            let users = [
                (!checks.text(row, 0).is_empty())
                    .then(|| TypeUser::Name(checks.text(row, 0).to_owned())),
                (relation != 0).then_some(TypeUser::Relation(relation)),
                (caller != 0).then_some(TypeUser::Function(caller)),
            ];
            all.checks.extend(
                users
                    .into_iter()
                    .flatten()
                    .map(|of| TypeCheck { of, function: number(checks, row, 3) }),
            );
        }
        all.volatile =
            (0..volatile.rows.len()).map(|row| volatile.text(row, 0).to_owned()).collect();
        Ok(all)
    }
}

/// The digest as it is now.
///
/// # Errors
/// The connection broke.
pub async fn digest(connection: &mut Connection) -> Result<String, ServerError> {
    let results = connection.query_in_utf8(&DIGEST.replace("{rights}", RIGHTS)).await?;
    Ok(results.first().map_or("", |rows| rows.text(0, 0)).to_owned())
}
