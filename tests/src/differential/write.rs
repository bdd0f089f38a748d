//! INSERT, UPDATE, DELETE.

use super::condition::Source;
use super::select::{self, Query};
use super::table::Table;
use super::writer::Writer;

/// A write to one of the tables that may be written now; it may read the others.
pub(super) fn any(writer: &mut Writer<'_>, tables: &[Table], writable: &[&Table]) -> Query {
    let table = *writer.pick(&writable.iter().collect::<Vec<_>>());
    let is_in_with = writer.chance(8);
    let mut text = match writer.number(0, 19) {
        0..8 => insert(writer, table),
        8 => insert_select(writer, tables, table),
        9..15 => update(writer, table),
        15 => update_from(writer, tables, table),
        16..19 => delete(writer, table),
        _ => delete_using(writer, tables, table),
    };
    let returning = returning(writer, table, is_in_with);
    text.push_str(&returning);
    if is_in_with {
        let list = writer.pick(&["*", "count(*)", "n"]);
        text = format!("WITH w AS ({text}) SELECT {list} FROM w");
    }
    Query { text, is_ordered: false }
}

/// INSERT of some rows, which is nearly always carried out.
pub(super) fn fill(writer: &mut Writer<'_>, table: &Table) -> String {
    let most = if table.has_identity() { 1 } else { 5 };
    let rows: Vec<_> = (0..writer.number(1, most)).map(|_| row(writer, table)).collect();
    let end = if table.has_identity() { "" } else { " ON CONFLICT DO NOTHING" };
    format!("INSERT INTO {} VALUES {}{end}", table.name, rows.join(", "))
}

fn row(writer: &mut Writer<'_>, table: &Table) -> String {
    let values: Vec<_> =
        (0..table.columns.len()).map(|position| table.new_value(writer, position)).collect();
    format!("({})", values.join(", "))
}

fn returning(writer: &mut Writer<'_>, table: &Table, is_needed: bool) -> String {
    let name = table.name;
    if is_needed {
        return format!(" RETURNING {name}.*");
    }
    match writer.number(0, 5) {
        0 => format!(" RETURNING {name}.*"),
        1 => {
            let source = Source { table, alias: name };
            let column = source.any(writer);
            let key = source.key().join(", ");
            format!(" RETURNING {}, {key}", writer.expression(source, column.kind))
        }
        _ => String::new(),
    }
}

fn insert(writer: &mut Writer<'_>, table: &Table) -> String {
    let name = table.name;
    let rows = *writer.pick(&[&1, &1, &1, &2, &3]);
    // A row of several that is refused ends PostgreSQL's statement before the next is numbered.
    let rows = if table.has_identity() { 1 } else { rows };
    let mut text = if writer.chance(25) {
        // Some columns only.
        let mut positions: Vec<_> = (0..table.keys).collect();
        positions.extend((table.keys..table.columns.len()).filter(|_| writer.chance(60)));
        let columns: Vec<_> =
            positions.iter().map(|&position| table.columns[position].name.as_str()).collect();
        let columns = columns.join(", ");
        let rows: Vec<_> = (0..rows)
            .map(|_| {
                let values: Vec<_> =
                    positions.iter().map(|&position| table.new_value(writer, position)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        format!("INSERT INTO {name} ({columns}) VALUES {}", rows.join(", "))
    } else {
        let rows: Vec<_> = (0..rows).map(|_| row(writer, table)).collect();
        format!("INSERT INTO {name} VALUES {}", rows.join(", "))
    };
    let conflict = on_conflict(writer, table);
    text.push_str(&conflict);
    text
}

fn on_conflict(writer: &mut Writer<'_>, table: &Table) -> String {
    let key: Vec<_> = table.key().iter().map(|column| column.name.as_str()).collect();
    let key = key.join(", ");
    if table.has_identity() {
        // How many numbers a sequence leaves out isn't promised.
        return String::new();
    }
    match writer.number(0, 9) {
        0..5 => String::new(),
        5 => " ON CONFLICT DO NOTHING".to_owned(),
        6 => format!(" ON CONFLICT ({key}) DO NOTHING"),
        7 => {
            let set: Vec<_> = table
                .rest()
                .iter()
                .filter(|column| !column.is_generated)
                .map(|column| format!("{0} = excluded.{0}", column.name))
                .collect();
            format!(" ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", "))
        }
        _ => {
            let source = Source { table, alias: table.name };
            let set = writer.pick(&[
                "n = excluded.n",
                "n = coalesce(TABLE.n, 0) / 2 + 1",
                "n = least(excluded.n, TABLE.n)",
                "n = NULL",
                "n = DEFAULT",
            ]);
            let filter = if writer.chance(30) {
                format!(" WHERE {}", writer.condition(source))
            } else {
                String::new()
            };
            format!(
                " ON CONFLICT ({key}) DO UPDATE SET {}{filter}",
                set.replace("TABLE", table.name)
            )
        }
    }
}

fn insert_select(writer: &mut Writer<'_>, tables: &[Table], table: &Table) -> String {
    let from = Source { table: writer.pick(&tables.iter().collect::<Vec<_>>()), alias: "s" };
    let columns: Vec<_> =
        table.columns.iter().enumerate().filter(|(_, column)| !column.is_generated).collect();
    let values: Vec<_> = columns
        .iter()
        .map(|(position, column)| {
            let same = from.table.columns.iter().find(|other| other.kind == column.kind);
            match same {
                Some(same) if *position >= table.keys || !table.has_full_keys => from.column(same),
                // DEFAULT stands in VALUES only, and the key may not be empty.
                _ => {
                    let takes_parameters = std::mem::replace(&mut writer.takes_parameters, false);
                    let mut values = std::iter::repeat_with(|| table.new_value(writer, *position));
                    let value = values.find(|value| value != "DEFAULT").unwrap_or_default();
                    writer.takes_parameters = takes_parameters;
                    value
                }
            }
        })
        .collect();
    let names: Vec<_> = columns.iter().map(|(_, column)| column.name.as_str()).collect();
    let filter = writer.filter(from);
    let text = format!(
        "INSERT INTO {} ({}) SELECT {} FROM {} WHERE {filter} ORDER BY {} LIMIT 3",
        table.name,
        names.join(", "),
        values.join(", "),
        from.reference(),
        from.key().join(", ")
    );
    text + &on_conflict(writer, table)
}

fn assignments(writer: &mut Writer<'_>, table: &Table) -> String {
    let source = Source { table, alias: table.name };
    let columns: Vec<_> = table.rest().iter().filter(|column| !column.is_generated).collect();
    let one = *writer.pick(&columns.iter().collect::<Vec<_>>());
    let mut set = vec![one];
    if writer.chance(30) {
        let other = *writer.pick(&columns.iter().collect::<Vec<_>>());
        if other.name != one.name {
            set.push(other);
        }
    }
    let set: Vec<_> = set
        .iter()
        .map(|column| {
            let value = match writer.number(0, 9) {
                0..5 => writer.value_or_null(column.kind),
                5 if column.has_default => "DEFAULT".to_owned(),
                _ => writer.expression(source, column.kind),
            };
            format!("{} = {value}", column.name)
        })
        .collect();
    set.join(", ")
}

fn update(writer: &mut Writer<'_>, table: &Table) -> String {
    let source = Source { table, alias: table.name };
    if writer.chance(6) {
        // Another key for one row.
        let column = &table.key()[table.keys - 1];
        let value = table.new_value(writer, table.keys - 1);
        let filter = writer.whole_key(source);
        return format!("UPDATE {} SET {} = {value} WHERE {filter}", table.name, column.name);
    }
    let set = assignments(writer, table);
    let filter = match writer.number(0, 9) {
        0..5 => writer.whole_key(source),
        5 => {
            // A conditional write.
            let key = writer.whole_key(source);
            format!("{key} AND {}", writer.condition(source))
        }
        _ => writer.filter(source),
    };
    format!("UPDATE {} SET {set} WHERE {filter}", table.name)
}

fn update_from(writer: &mut Writer<'_>, tables: &[Table], table: &Table) -> String {
    let source = Source { table, alias: table.name };
    let from = Source { table: writer.pick(&tables.iter().collect::<Vec<_>>()), alias: "f" };
    // At most one row for each.
    let filter = writer.whole_key(from);
    let more = writer.condition(source);
    format!(
        "UPDATE {} SET n = least(f.n, 100) FROM {} WHERE {filter} AND {more}",
        table.name,
        from.reference()
    )
}

fn delete(writer: &mut Writer<'_>, table: &Table) -> String {
    let source = Source { table, alias: table.name };
    let filter = if writer.chance(60) { writer.whole_key(source) } else { writer.filter(source) };
    format!("DELETE FROM {} WHERE {filter}", table.name)
}

fn delete_using(writer: &mut Writer<'_>, tables: &[Table], table: &Table) -> String {
    let source = Source { table, alias: table.name };
    let using = Source { table: writer.pick(&tables.iter().collect::<Vec<_>>()), alias: "f" };
    let (own, other) = (writer.filter(source), writer.condition(using));
    let joined = select::comparable(writer, source, using)
        .map(|(left, right)| format!(" AND {} = {}", source.column(left), using.column(right)))
        .unwrap_or_default();
    format!(
        "DELETE FROM {} USING {} WHERE ({own}) AND {other}{joined}",
        table.name,
        using.reference()
    )
}
