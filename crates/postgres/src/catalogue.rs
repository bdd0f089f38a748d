//! Table definitions, from PostgreSQL's catalogue.
//!
//! What a name means is asked of PostgreSQL, once for each text and search path: a temporary table
//! or one earlier on the path hides a store table. The same query brings a digest of the store
//! tables' definitions; another digest means another definition, made here or elsewhere.

use std::collections::{BTreeMap, HashMap};

use flywheel_types::{Column, ColumnDefault, Table, TableName, TypeInfo};
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

use crate::rights::RIGHTS;
use crate::{Connection, Rows, ServerError};

/// A table's definition together with what a home outside PostgreSQL can't hold.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The table; `None` when it has no primary key.
    pub table: Option<Table>,
    /// Constraints and the like that only PostgreSQL could enforce.
    pub obstacles: Vec<Obstacle>,
    /// Views that read the table, directly or through other views, and would find PostgreSQL's
    /// empty one. Not those that are materialized.
    pub dependents: Vec<TableName>,
    /// Those of them that are nothing but their query: no security barrier.
    pub plain_views: Vec<TableName>,
    /// Whether PostgreSQL's own table, which should be empty, has rows.
    pub has_rows: bool,
}

/// Something that only PostgreSQL could enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The end of the sentence "table … has …".
    pub what: String,
    /// The statement that drops it; `None` where it is more than a constraint.
    pub drop: Option<String>,
}

/// One row a column: table name, oid, and the column's facts. `contype = 'p'` gives the key's order
/// by `conkey`. A domain's type is its base type, with the modifier that it was declared with.
/// LIMIT 1 tells the planner that there is one: it would think the query dear enough to be
/// compiled, which takes seconds.
const COLUMNS: &str = "
SELECT n.nspname, c.relname, c.oid, a.attname, base.type, base.modifier, format_type(base.type, base.modifier), a.attnotnull,
       (a.atthasdef OR a.attidentity <> '') AS has_default, a.attgenerated <> '' AS generated,
       coalesce(l.collname IN ('C', 'POSIX') OR (l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
                AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'), true) AS byte_ordered,
       coalesce(l.collisdeterministic, true) AS deterministic, t.typtype = 'd' AS is_domain,
       coalesce(array_position(p.conkey, a.attnum), 0) AS key_position, coalesce(p.conname, '') AS key_name,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS is_readable, {digest} AS digest,
       a.atttypid AS declared, base.kind = 'e' AS is_enum
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
  WITH RECURSIVE types(type, modifier, kind) AS (
    SELECT t.oid, a.atttypmod, t.typtype
    UNION ALL SELECT b.oid, o.typtypmod, b.typtype FROM types
      JOIN pg_type o ON o.oid = types.type AND types.kind = 'd' JOIN pg_type b ON b.oid = o.typbasetype
  ) SELECT * FROM types WHERE kind <> 'd' LIMIT 1
) AS base
JOIN pg_database d ON d.datname = current_database()
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p'
WHERE c.relkind = 'r' AND (n.nspname, c.relname) IN ({names})
ORDER BY c.oid, a.attnum";

/// Of the table `c`: all that a row is checked against, and where its values go. Not what is filled
/// in where a value is missing.
const CHECKED: &str = "pg_catalog.md5(pg_catalog.concat_ws(',', c.relkind, c.relrowsecurity,
  (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', f.attnum, f.attname, f.atttypid, f.atttypmod, f.attnotnull, f.attgenerated, f.attcollation), ',' ORDER BY f.attnum)
   FROM pg_catalog.pg_attribute f WHERE f.attrelid = c.oid AND f.attnum > 0 AND NOT f.attisdropped),
  (SELECT pg_catalog.string_agg(k.oid::text, ',' ORDER BY k.oid) FROM pg_catalog.pg_constraint k WHERE c.oid IN (k.conrelid, k.confrelid)
   OR k.contypid IN (SELECT f.atttypid FROM pg_catalog.pg_attribute f WHERE f.attrelid = c.oid AND f.attnum > 0 AND NOT f.attisdropped)),
  (SELECT pg_catalog.string_agg(i.indexrelid::text, ',' ORDER BY i.indexrelid) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique),
  (SELECT pg_catalog.string_agg(g.oid::text, ',' ORDER BY g.oid) FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
  (SELECT pg_catalog.string_agg(r.oid::text, ',' ORDER BY r.oid) FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid), {types}))";

/// Of the table `c`: its columns' types that aren't PostgreSQL's own, and all that they consist of.
const TYPES: &str = "(WITH RECURSIVE y(type) AS (
   SELECT f.atttypid FROM pg_catalog.pg_attribute f
   WHERE f.attrelid = c.oid AND f.attnum > 0 AND NOT f.attisdropped AND f.atttypid >= 16384
   UNION SELECT x.type FROM y JOIN pg_catalog.pg_type t ON t.oid = y.type CROSS JOIN LATERAL (
     SELECT t.typbasetype UNION ALL SELECT t.typelem
     UNION ALL SELECT f.atttypid FROM pg_catalog.pg_attribute f
       WHERE t.typrelid <> 0 AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
     UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
     UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE t.typtype = 'm' AND d.objid = t.oid
       AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
   ) AS x(type) WHERE x.type >= 16384
  ) SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', t.oid, t.typname, t.typnamespace, t.typnotnull,
   (SELECT pg_catalog.string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
   (SELECT pg_catalog.string_agg(k.oid::text, ',' ORDER BY k.oid) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid),
   (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', f.attnum, f.attname, f.atttypid, f.atttypmod), ',' ORDER BY f.attnum)
    FROM pg_catalog.pg_attribute f WHERE t.typrelid <> 0 AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped)
  ), ',' ORDER BY t.oid) FROM y JOIN pg_catalog.pg_type t ON t.oid = y.type)";

/// The query that gives the [`Table::digest`] of each of these tables, by its oid, as they are now.
pub fn digests(oids: impl IntoIterator<Item = u32>) -> String {
    let oids: Vec<String> = oids.into_iter().map(|oid| oid.to_string()).collect();
    format!(
        "SELECT c.oid, {} FROM pg_catalog.pg_class c WHERE c.oid IN ({})",
        CHECKED.replace("{types}", TYPES),
        oids.join(", ")
    )
}

const OBSTACLES: &str = "
WITH RECURSIVE reads AS (
  SELECT DISTINCT d.refobjid AS relid, r.ev_class AS view FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid
), views AS (
  SELECT relid, view FROM reads UNION SELECT views.relid, reads.view FROM views JOIN reads ON reads.relid = views.view
  JOIN pg_class between ON between.oid = views.view AND between.relkind <> 'm'
)
SELECT n.nspname, c.relname, x.kind, x.what, x.drop
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN (
  SELECT conrelid AS relid, 'check' AS kind, conname::text AS what, NULL AS drop FROM pg_constraint WHERE contype = 'c'
  UNION ALL SELECT confrelid, 'obstacle', 'the foreign key \"' || conname || '\" of another table that refers to it', {drop} FROM pg_constraint k WHERE contype = 'f' AND confrelid <> conrelid
  UNION ALL SELECT conrelid, 'obstacle', 'the foreign key \"' || conname || '\"', {drop} FROM pg_constraint k WHERE contype = 'f'
  UNION ALL SELECT conrelid, 'obstacle', 'the UNIQUE constraint \"' || conname || '\"', {drop} FROM pg_constraint k WHERE contype = 'u'
  UNION ALL SELECT conrelid, 'obstacle', 'the EXCLUDE constraint \"' || conname || '\"', {drop} FROM pg_constraint k WHERE contype = 'x'
  UNION ALL SELECT i.indrelid, 'obstacle', 'the unique index \"' || ic.relname || '\"', format('DROP INDEX %I.%I', ic.relnamespace::regnamespace, ic.relname) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
            WHERE i.indisunique AND NOT i.indisprimary AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  UNION ALL SELECT tgrelid, 'obstacle', 'the trigger \"' || tgname || '\"', format('DROP TRIGGER %I ON {table}', tgname) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT ev_class, 'obstacle', 'the rule \"' || rulename || '\"', format('DROP RULE %I ON {table}', rulename) FROM pg_rewrite WHERE rulename <> '_RETURN'
  UNION ALL SELECT inhparent, 'obstacle', 'tables that inherit from it', NULL FROM pg_inherits
  UNION ALL SELECT inhrelid, 'obstacle', 'a table that it inherits from', NULL FROM pg_inherits
  UNION ALL SELECT oid, 'obstacle', 'row-level security', 'ALTER TABLE {table} DISABLE ROW LEVEL SECURITY' FROM pg_class WHERE relrowsecurity
  UNION ALL SELECT views.relid, CASE WHEN v.relkind = 'v' AND coalesce(v.reloptions::text NOT LIKE '%security_barrier%', true) THEN 'plain view' ELSE 'view' END, v.relnamespace::regnamespace::text || '.' || v.relname, NULL FROM views JOIN pg_class v ON v.oid = views.view AND v.relkind <> 'm'
) x ON x.relid = c.oid
WHERE (n.nspname, c.relname) IN ({names})";

/// What tells an altered table's columns from what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What the table is called now.
    pub name: TableName,
    /// The columns by their numbers, which stay theirs whatever they are called.
    pub columns: BTreeMap<i32, String>,
    /// Conditions and expressions that its rows keep to, as SQL.
    pub rules: Vec<String>,
    /// The rules that hold for new rows only (NOT VALID).
    pub unchecked: Vec<String>,
}

/// The form of the table with this oid.
///
/// # Errors
/// The connection broke.
pub async fn form(connection: &mut Connection, oid: u32) -> Result<Form, ServerError> {
    let sql = format!(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}; \
         SELECT attnum, attname FROM pg_catalog.pg_attribute WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped; \
         SELECT pg_catalog.pg_get_constraintdef(oid), convalidated FROM pg_catalog.pg_constraint WHERE conrelid = {oid} AND contype IN ('c', 'n') \
         UNION ALL SELECT pg_catalog.concat(d.adnum, ' ', pg_catalog.pg_get_expr(d.adbin, d.adrelid)), true FROM pg_catalog.pg_attrdef d \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {oid} AND a.attgenerated <> ''"
    );
    let results = connection.query(&sql).await?;
    let rows = |at: usize| results.get(at).map_or(0, |rows| rows.rows.len());
    let text = |at: usize, row: usize, column: usize| results[at].text(row, column);
    let mut form = Form {
        name: TableName::new("", ""),
        columns: BTreeMap::new(),
        rules: Vec::new(),
        unchecked: Vec::new(),
    };
    if rows(0) > 0 {
        form.name = TableName::new(text(0, 0, 0), text(0, 0, 1));
    }
    for row in 0..rows(1) {
        form.columns
            .insert(text(1, row, 0).parse().unwrap_or_default(), text(1, row, 1).to_owned());
    }
    for row in 0..rows(2) {
        let kept = if text(2, row, 1) == "t" { &mut form.rules } else { &mut form.unchecked };
        kept.push(text(2, row, 0).to_owned());
    }
    Ok(form)
}

/// The statement that drops the constraint `k`, which may be another table's.
const DROP_CONSTRAINT: &str = "(SELECT format('ALTER TABLE %I.%I DROP CONSTRAINT %I', t.relnamespace::regnamespace, t.relname, k.conname) \
                               FROM pg_class t WHERE t.oid = k.conrelid)";

/// What names mean on a connection now.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The schema in which a new table is made.
    pub current_schema: Option<String>,
    /// For each of the names asked for that is a relation: the schema in which it is found.
    pub schemas: BTreeMap<String, String>,
    /// A digest of the definitions of all tables with these names: another one means that a
    /// definition has changed.
    pub digest: String,
    /// The role whose rights count.
    pub role: String,
    /// A digest of what rights depend on beside the tables: another one means that a role may have
    /// others. Empty where it wasn't asked for.
    pub rights: String,
}

const DIGEST: &str = "
SELECT pg_catalog.md5(pg_catalog.string_agg(definition, ';' ORDER BY definition)) FROM (
  SELECT pg_catalog.concat_ws(',', n.nspname, c.relname, c.oid, c.relkind, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relhassubclass, c.relowner, c.relacl,
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity, a.attcollation, a.attacl), ',' ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT pg_catalog.string_agg(k.oid::text, ',' ORDER BY k.oid) FROM pg_catalog.pg_constraint k WHERE c.oid IN (k.conrelid, k.confrelid)), {types}) AS definition
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = ANY ({names}) AND c.relpersistence <> 't'
) AS definitions";

/// What names without a schema mean on this connection now.
///
/// # Errors
/// The connection broke.
pub async fn names(
    connection: &mut Connection,
    names: &[String],
    with_rights: bool,
) -> Result<Names, ServerError> {
    let rights = if with_rights { RIGHTS } else { "''" };
    let list: Vec<_> = names.iter().map(|name| literal(name)).collect();
    let list = format!("ARRAY[{}]::pg_catalog.text[]", list.join(", "));
    let digest = DIGEST.replace("{types}", TYPES).replace("{names}", &list);
    let sql = format!(
        "SELECT pg_catalog.current_schema(), current_user, {rights}; \
         SELECT name, s.nspname FROM pg_catalog.unnest({list}) AS name \
         JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(name)) \
         JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace; {digest}"
    );
    let results = connection.query(&sql).await?;
    let column =
        |at: usize, column| results.get(at).map_or("", |rows| rows.text(0, column)).to_owned();
    let text = |at: usize| column(at, 0);
    let pair = |rows: &Rows, row| (rows.text(row, 0).to_owned(), rows.text(row, 1).to_owned());
    let schemas = results.get(1).map_or_else(BTreeMap::new, |rows| {
        (0..rows.rows.len()).map(|row| pair(rows, row)).collect()
    });
    Ok(Names {
        current_schema: Some(text(0)).filter(|schema| !schema.is_empty()),
        schemas,
        digest: text(2),
        role: column(0, 1),
        rights: column(0, 2),
    })
}

/// The columns' types of the named relations (as SQL, found as this connection finds them), by the
/// number that comes with each name. Domains are their base types. Columns whose collation takes
/// different texts for equal are left out.
///
/// # Errors
/// The connection broke.
pub async fn column_types(
    connection: &mut Connection,
    names: &[(usize, String)],
) -> Result<HashMap<(usize, String), TypeInfo>, ServerError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let list: Vec<_> =
        names.iter().map(|(number, name)| format!("({number}, {})", literal(name))).collect();
    let sql = format!(
        "SELECT v.number, a.attname, coalesce(nullif(t.typbasetype, 0), t.oid), greatest(a.atttypmod, t.typtypmod), pg_catalog.format_type(t.oid, a.atttypmod), t.typtype = 'e' \
         FROM (VALUES {}) AS v(number, name) JOIN pg_catalog.pg_attribute a ON a.attrelid = pg_catalog.to_regclass(v.name) \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND coalesce(l.collisdeterministic, true)",
        list.join(", ")
    );
    let rows = connection.query(&sql).await?.pop().unwrap_or_default();
    let number = |row, column| rows.text(row, column).parse::<i64>().unwrap_or_default();
    let entry = |row| {
        let place = usize::try_from(number(row, 0)).unwrap_or_default();
        let oid = u32::try_from(number(row, 2)).unwrap_or_default();
        let modifier = i32::try_from(number(row, 3)).unwrap_or(-1);
        let ty = TypeInfo::new(oid, modifier, rows.text(row, 4));
        let ty = if rows.text(row, 5) == "t" { ty.as_enum() } else { ty };
        ((place, rows.text(row, 1).to_owned()), ty)
    };
    Ok((0..rows.rows.len()).map(entry).collect())
}

/// The definitions of those of the named tables that exist.
///
/// # Errors
/// The connection broke, or the role may not read the catalogue.
pub async fn load(
    connection: &mut Connection,
    names: &[TableName],
) -> Result<HashMap<TableName, Definition>, ServerError> {
    load_beside(connection, names, &[]).await
}

/// The same, without a look at the rows of the tables with these oids. To look at them waits for
/// whoever has locked the table, and keeps others waiting until the end of the connection's
/// transaction.
///
/// # Errors
/// The connection broke, or the role may not read the catalogue.
pub async fn load_beside(
    connection: &mut Connection,
    names: &[TableName],
    known: &[u32],
) -> Result<HashMap<TableName, Definition>, ServerError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("({}, {})", literal(&name.schema), literal(&name.name)))
        .collect();
    let names = names.join(", ");
    let columns = connection
        .query(
            &COLUMNS
                .replace("{digest}", &CHECKED.replace("{types}", TYPES))
                .replace("{names}", &names),
        )
        .await?
        .pop()
        .unwrap_or_default();
    // Told before it is tried: an error would fail the transaction block that the connection may be
    // in.
    let is_known =
        |row: &usize| columns.text(*row, 2).parse().is_ok_and(|oid: u32| known.contains(&oid));
    let is_closed = |row: &usize| columns.text(*row, 15) == "f" && !is_known(row);
    if let Some(row) = (0..columns.rows.len()).find(is_closed) {
        let name = TableName::new(columns.text(row, 0), columns.text(row, 1));
        let message = format!("permission denied for table {}", name.name);
        return Err(PgError::error(sqlstate::INSUFFICIENT_PRIVILEGE, message).into());
    }
    let facts = connection
        .query(&OBSTACLES.replace("{drop}", DROP_CONSTRAINT).replace("{names}", &names))
        .await?
        .pop()
        .unwrap_or_default();
    let mut definitions = tables(&columns);
    for row in 0..facts.rows.len() {
        let name = TableName::new(facts.text(row, 0), facts.text(row, 1));
        let Some(definition) = definitions.get_mut(&name) else { continue };
        let what = facts.text(row, 3).to_owned();
        match facts.text(row, 2) {
            "check" => definition.table.iter_mut().for_each(|table| table.has_checks = true),
            kind @ ("view" | "plain view") => {
                let view = what.split_once('.').map(|(schema, name)| TableName::new(schema, name));
                if kind == "plain view" {
                    definition.plain_views.extend(view.clone());
                }
                definition.dependents.extend(view);
            }
            _ => definition.obstacles.push(Obstacle {
                what,
                drop: Some(facts.text(row, 4).replace("{table}", &name.to_sql()))
                    .filter(|drop| !drop.is_empty()),
            }),
        }
    }
    for (name, definition) in &mut definitions {
        if definition.table.as_ref().is_some_and(|table| known.contains(&table.oid)) {
            continue;
        }
        let rows = connection.query(&format!("SELECT FROM ONLY {} LIMIT 1", name.to_sql())).await?;
        definition.has_rows = rows.first().is_some_and(|rows| !rows.rows.is_empty());
    }
    Ok(definitions)
}

fn tables(columns: &Rows) -> HashMap<TableName, Definition> {
    let mut definitions: HashMap<TableName, (Table, Vec<(usize, usize)>)> = HashMap::new();
    for row in 0..columns.rows.len() {
        let text = |column| columns.text(row, column);
        let name = TableName::new(text(0), text(1));
        let entry = definitions.entry(name.clone()).or_insert_with(|| {
            let table = Table {
                name,
                oid: text(2).parse().unwrap_or_default(),
                columns: Vec::new(),
                primary_key: Vec::new(),
                primary_key_name: text(14).to_owned(),
                has_checks: false,
                digest: text(16).to_owned(),
            };
            (table, Vec::new())
        });
        let (table, key) = entry;
        if let Ok(place @ 1..) = text(13).parse::<usize>() {
            key.push((place, table.columns.len()));
        }
        // A domain has checks of its own, and its base type is what its values are.
        table.has_checks |= text(12) == "t";
        let oid = |column| text(column).parse().unwrap_or_default();
        let ty = TypeInfo::new(oid(4), text(5).parse().unwrap_or(-1), text(6)).declared_as(oid(17));
        table.columns.push(Column {
            name: text(3).to_owned(),
            ty: if text(18) == "t" { ty.as_enum() } else { ty },
            not_null: text(7) == "t",
            default: if text(8) == "t" { ColumnDefault::Computed } else { ColumnDefault::None },
            generated: text(9) == "t",
            byte_ordered: text(10) == "t",
            deterministic: text(11) == "t",
        });
    }
    definitions
        .into_iter()
        .map(|(name, (mut table, mut key))| {
            key.sort_unstable();
            table.primary_key = key.into_iter().map(|(_, position)| position).collect();
            let table = (!table.primary_key.is_empty()).then_some(table);
            (
                name,
                Definition {
                    table,
                    obstacles: Vec::new(),
                    dependents: Vec::new(),
                    plain_views: Vec::new(),
                    has_rows: false,
                },
            )
        })
        .collect()
}
