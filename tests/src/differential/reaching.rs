//! Statements that Flywheel may refuse where PostgreSQL doesn't: those that ask for system columns
//! of a table, and code that reaches store tables by itself. Whatever isn't refused must be equal.

use super::condition::Source;
use super::select::{self, Query};
use super::table::Table;
use super::write;
use super::writer::Writer;

/// A statement that names system columns.
pub(super) fn by_system_columns(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let table = writer.pick(&tables.iter().collect::<Vec<_>>());
    let name = table.name;
    let source = Source { table, alias: "" };
    let own = Source { table, alias: name };
    let (filter, key) = (writer.filter(source), source.key().join(", "));
    let some = format!("SELECT ctid FROM {name} WHERE {filter} ORDER BY {key} LIMIT 2");
    let lock = writer.pick(&["", "", " FOR UPDATE", " FOR UPDATE SKIP LOCKED"]);
    let returning = writer.pick(&["", " RETURNING *", " RETURNING tableoid::regclass::text"]);
    let text = match writer.number(0, 13) {
        0 => format!("DELETE FROM {name} WHERE ctid IN ({some}{lock}){returning}"),
        1 => format!("DELETE FROM {name} WHERE ctid = ANY (ARRAY({some}{lock})){returning}"),
        2 => format!("UPDATE {name} SET n = 5 WHERE ctid IN ({some}{lock}){returning}"),
        3 => format!("WITH d AS ({some}) DELETE FROM {name} USING d WHERE {name}.ctid = d.ctid"),
        4 => format!("SELECT {key}, tableoid::regclass::text FROM {name} WHERE {filter}"),
        5 => format!("SELECT {key} FROM {name} WHERE tableoid = '{name}'::regclass AND ({filter})"),
        6 => format!(
            "SELECT count(*) = count(DISTINCT ctid), count(xmin) FROM {name} WHERE {filter}"
        ),
        7 => {
            let filter = writer.filter(Source { table, alias: "x" });
            format!("SELECT x.n, y.n FROM {name} x JOIN {name} y ON x.ctid = y.ctid WHERE {filter}")
        }
        8 => {
            let filter = writer.filter(Source { table, alias: "x" });
            format!(
                "UPDATE {name} SET n = 6 FROM {name} x WHERE x.ctid = {name}.ctid AND ({filter})"
            )
        }
        9 => {
            let filter = writer.filter(own);
            let other = writer.pick(&tables.iter().collect::<Vec<_>>()).name;
            format!(
                "SELECT {name}.n FROM {name} WHERE {filter} AND EXISTS (SELECT FROM {other} o WHERE o.ctid = {name}.ctid OR o.n = 1)"
            )
        }
        10 => format!(
            "DELETE FROM {name} WHERE ctid NOT IN (SELECT max(ctid) FROM {name}) AND ({filter})"
        ),
        11 => format!("SELECT (t.*)::text <> '', t.xmax = 0 FROM {name} t"),
        12 => {
            // Whether an upsert has inserted or updated.
            let row = write::fill(writer, table).replace(" ON CONFLICT DO NOTHING", "");
            format!("{row} ON CONFLICT ({key}) DO UPDATE SET n = 1 RETURNING (xmax = 0)")
        }
        _ => format!("UPDATE {name} SET n = 7 WHERE {filter} RETURNING ctid IS NULL, xmin = xmax"),
    };
    Query { text, is_ordered: false }
}

/// Code of a language of its own, which reads or writes one of the tables.
pub(super) fn by_code(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    writer.takes_parameters = false;
    let all: Vec<&Table> = tables.iter().collect();
    let name = writer.pick(&all).name;
    let text = match writer.number(0, 6) {
        0 | 1 => {
            let write = write::any(writer, tables, &all).text;
            let end = if write.contains("RETURNING") { String::new() } else { write };
            format!("DO $code$ BEGIN {end}; END $code$")
        }
        2 => {
            let read = select::any(writer, tables).text;
            let read = read.replacen("SELECT", "PERFORM", 1);
            let read = if read.starts_with("PERFORM") { read } else { "NULL".to_owned() };
            format!("DO $code$ BEGIN {read}; END $code$")
        }
        3 => {
            let write = write::any(writer, tables, &all).text;
            format!(
                "DO $code$ BEGIN BEGIN EXECUTE $text${write}$text$; RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END $code$"
            )
        }
        4 => format!("SELECT count_of_{name}()"),
        5 => format!("SELECT emptied_{name}() FROM r"),
        _ => format!("SELECT k0 FROM {name} WHERE count_of_{name}() > 0"),
    };
    Query { text, is_ordered: false }
}

/// Functions for [`by_code`].
pub(super) fn functions(table: &Table) -> Vec<String> {
    let name = table.name;
    vec![
        format!(
            "CREATE OR REPLACE FUNCTION count_of_{name}() RETURNS bigint LANGUAGE plpgsql AS \
             $$ BEGIN RETURN (SELECT count(*) FROM {name}); END $$"
        ),
        format!(
            "CREATE OR REPLACE FUNCTION emptied_{name}() RETURNS bigint LANGUAGE plpgsql AS \
             $$ DECLARE gone bigint; BEGIN DELETE FROM {name}; GET DIAGNOSTICS gone = ROW_COUNT; RETURN gone; END $$"
        ),
    ]
}

/// A statement in which names stand behind their schema.
pub(super) fn by_schema(writer: &mut Writer<'_>, tables: &[Table], writable: &[&Table]) -> Query {
    let table = *writer.pick(&writable.iter().collect::<Vec<_>>());
    let name = table.name;
    let alias = match name {
        "a" => "public.a",
        "b" => "public.b",
        "o" => "public.o",
        "r" => "public.r",
        _ => "public.s",
    };
    let source = Source { table, alias };
    let filter = writer.filter(source);
    let (key, column) = (source.key().join(", "), source.any(writer));
    let value = writer.expression(source, column.kind);
    let other = writer.pick(&tables.iter().collect::<Vec<_>>()).name;
    let qualified = format!("public.{name}");
    let from = writer.pick(&[&qualified[..], name]);
    let set = format!("n = least({alias}.n, 100)");
    let text = match writer.number(0, 7) {
        0 => format!("SELECT {value}, {key} FROM {from} WHERE {filter} ORDER BY {key}"),
        1 => format!("SELECT {alias}.* FROM {from} WHERE {filter} ORDER BY {key} LIMIT 3"),
        2 => format!("SELECT {key}, count(*) FROM {from} WHERE {filter} GROUP BY {key}"),
        3 => format!("UPDATE public.{name} SET {set} WHERE {filter} RETURNING {key}"),
        4 => format!("DELETE FROM public.{name} WHERE {filter} RETURNING {alias}.n"),
        5 => format!(
            "SELECT {key} FROM {from} WHERE EXISTS (SELECT FROM public.{other} AS z WHERE z.n = {alias}.n) AND ({filter})"
        ),
        6 => format!(
            "SELECT {key}, z.n FROM {from} LEFT JOIN public.{other} AS z ON z.n = {alias}.n WHERE {filter}"
        ),
        _ => {
            let row = write::fill(writer, table).replace(" ON CONFLICT DO NOTHING", "").replacen(
                name,
                &format!("public.{name}"),
                1,
            );
            let names: Vec<_> = table.key().iter().map(|column| column.name.as_str()).collect();
            if table.has_identity() {
                row
            } else {
                format!("{row} ON CONFLICT ({}) DO UPDATE SET {set}", names.join(", "))
            }
        }
    };
    let is_ordered = text.contains("ORDER BY");
    Query { text, is_ordered }
}
