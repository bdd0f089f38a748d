//! Queries.

use super::condition::Source;
use super::table::{Column, Table};
use super::writer::Writer;

/// A query, with whether its rows come in an order that it says.
pub(super) struct Query {
    pub(super) text: String,
    pub(super) is_ordered: bool,
}

impl Query {
    fn unordered(text: String) -> Self {
        Self { text, is_ordered: false }
    }
}

/// Any query over the tables.
pub(super) fn any(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    match writer.number(0, 24) {
        0..6 => point(writer, tables),
        6..10 => range(writer, tables),
        10..14 => join(writer, tables),
        14 | 15 => grouped(writer, tables),
        16 => window(writer, tables),
        17 => distinct(writer, tables),
        18 | 19 => set_operation(writer, tables),
        20 | 21 => with(writer, tables),
        _ => subquery(writer, tables),
    }
}

/// A query whose rows come in an order.
pub(super) fn ordered(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    loop {
        let query = match writer.number(0, 2) {
            0 => range(writer, tables),
            1 => join(writer, tables),
            _ => window(writer, tables),
        };
        if query.is_ordered {
            return query;
        }
        writer.parameters.clear();
    }
}

fn source<'a>(writer: &mut Writer<'_>, tables: &'a [Table], alias: &'static str) -> Source<'a> {
    // Those under test stand first.
    let most = if writer.chance(60) { 2 } else { tables.len() };
    let tables: Vec<_> = tables[..most].iter().collect();
    Source { table: writer.pick(&tables), alias }
}

fn projection(writer: &mut Writer<'_>, source: Source<'_>) -> String {
    if writer.chance(40) {
        return "*".to_owned();
    }
    let columns: Vec<_> = (0..writer.number(1, 4))
        .map(|_| {
            let column = source.any(writer);
            if writer.chance(25) {
                // Named as no column is, which ORDER BY would take for it.
                writer.expression(source, column.kind) + " AS e"
            } else {
                source.column(column)
            }
        })
        .collect();
    columns.join(", ")
}

/// ORDER BY that leaves nothing open.
fn total(writer: &mut Writer<'_>, sources: &[Source<'_>]) -> String {
    let mut keys = Vec::new();
    if writer.chance(40) {
        let source = sources[0];
        let ordered: Vec<_> =
            source.table.columns.iter().filter(|column| column.kind.is_ordered).collect();
        keys.push(
            source.column(writer.pick(&ordered))
                + writer.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]),
        );
    }
    let descending = writer.pick(&["", "", " DESC"]);
    keys.extend(sources.iter().flat_map(|source| source.key()).map(|key| key + descending));
    format!("ORDER BY {}", keys.join(", "))
}

fn limit(writer: &mut Writer<'_>) -> String {
    let mut text = String::new();
    if writer.chance(60) {
        text.push_str(&format!(" LIMIT {}", writer.pick(&["0", "1", "2", "3", "10", "NULL"])));
    }
    if writer.chance(25) {
        text.push_str(&format!(" OFFSET {}", writer.number(0, 3)));
    }
    text
}

fn point(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let source = source(writer, tables, "");
    let filter = writer.filter(source);
    let list = projection(writer, source);
    Query::unordered(format!("SELECT {list} FROM {} WHERE {filter}", source.reference()))
}

fn range(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let source = source(writer, tables, "");
    let list = projection(writer, source);
    let filter = match writer.number(0, 9) {
        0 => String::new(),
        1..4 => {
            let first = &source.table.key()[0];
            format!(" WHERE {} = {}", first.name, writer.value(first.kind))
        }
        _ => format!(" WHERE {}", writer.part_of_key(source)),
    };
    let key = source.key();
    let order = if key.len() > 1
        && filter.contains(" = ")
        && !filter.contains("ANY")
        && writer.chance(60)
    {
        // What a range of one partition is asked in; the partition's column may equal several
        // values of another type only by rounding, which no generator of ours does.
        let descending = writer.pick(&["", " DESC"]);
        let columns: Vec<_> = key[1..].iter().map(|key| format!("{key}{descending}")).collect();
        format!("ORDER BY {}, {}", columns.join(", "), key[0])
    } else {
        total(writer, &[source])
    };
    let limit = limit(writer);
    // A cursor goes on to its rows when others have written them.
    let lock = if writer.takes_parameters && writer.chance(12) {
        writer.pick(&[
            " FOR UPDATE",
            " FOR UPDATE SKIP LOCKED",
            " FOR NO KEY UPDATE SKIP LOCKED",
            " FOR SHARE NOWAIT",
        ])
    } else {
        ""
    };
    Query {
        text: format!("SELECT {list} FROM {}{filter} {order}{limit}{lock}", source.reference()),
        is_ordered: true,
    }
}

/// Two columns that can be compared, of these sources.
pub(super) fn comparable<'a>(
    writer: &mut Writer<'_>,
    left: Source<'a>,
    right: Source<'a>,
) -> Option<(&'a Column, &'a Column)> {
    let mut pairs = Vec::new();
    for one in &left.table.columns {
        for other in &right.table.columns {
            if one.kind.family == other.kind.family
                && one.kind.is_ordered
                && other.kind.is_ordered
                && one.kind.family != super::kind::Family::Span
            {
                pairs.push((one, other));
            }
        }
    }
    let pairs: Vec<_> = pairs
        .iter()
        .filter(|(one, other)| {
            one.kind.family != super::kind::Family::List || one.kind == other.kind
        })
        .collect();
    (!pairs.is_empty()).then(|| *writer.pick(&pairs))
}

fn join(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let mut sources = vec![source(writer, tables, "x"), source(writer, tables, "y")];
    if writer.chance(15) {
        sources.push(source(writer, tables, "z"));
    }
    let mut from = sources[0].reference();
    for at in 1..sources.len() {
        let (one, other) = (sources[at - 1], sources[at]);
        let Some((left, right)) = comparable(writer, one, other) else {
            from.push_str(&format!(" CROSS JOIN {}", other.reference()));
            continue;
        };
        let kind = writer.pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let mut on = format!("{} = {}", one.column(left), other.column(right));
        if writer.chance(20) && kind != "FULL JOIN" {
            on.push_str(&format!(" AND {}", writer.condition(other)));
        }
        from.push_str(&format!(" {kind} {} ON {on}", other.reference()));
    }
    let filter = if writer.chance(70) {
        let source = *writer.pick(&sources.iter().collect::<Vec<_>>());
        format!(" WHERE {}", writer.filter(source))
    } else {
        String::new()
    };
    let list = if writer.chance(40) {
        writer.pick(&["*", "x.*", "y.*, x.n"]).to_owned()
    } else {
        let columns: Vec<_> = sources.iter().map(|&source| projection_of(writer, source)).collect();
        columns.join(", ")
    };
    let text = format!("SELECT {list} FROM {from}{filter}");
    if writer.chance(50) {
        return Query::unordered(text);
    }
    let order = total(writer, &sources);
    let limit = limit(writer);
    Query { text: format!("{text} {order}{limit}"), is_ordered: true }
}

fn projection_of(writer: &mut Writer<'_>, source: Source<'_>) -> String {
    let column = source.any(writer);
    writer.expression(source, column.kind)
}

fn canonical<'a>(writer: &mut Writer<'_>, source: Source<'a>) -> &'a Column {
    let columns: Vec<_> = source
        .table
        .columns
        .iter()
        .filter(|column| column.kind.is_canonical && column.kind.is_ordered)
        .collect();
    writer.pick(&columns)
}

fn grouped(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let source = source(writer, tables, "t");
    let key = source.column(canonical(writer, source));
    let column = canonical(writer, source);
    let name = source.column(column);
    let aggregate = match column.kind.family {
        super::kind::Family::Number | super::kind::Family::Moment | super::kind::Family::Day => {
            format!("min({name}), max({name})")
        }
        _ => format!("count(DISTINCT {name}), array_agg({name} ORDER BY {name})"),
    };
    let filter =
        if writer.chance(60) { format!(" WHERE {}", writer.filter(source)) } else { String::new() };
    if writer.chance(40) {
        return Query::unordered(format!(
            "SELECT count(*), sum(n), avg(n), {aggregate} FROM {}{filter}",
            source.reference()
        ));
    }
    let having = writer.pick(&["", "", " HAVING count(*) > 1"]);
    Query::unordered(format!(
        "SELECT {key}, count(*), sum(t.n), {aggregate} FROM {}{filter} GROUP BY {key}{having}",
        source.reference()
    ))
}

fn window(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let source = source(writer, tables, "t");
    let part = source.column(canonical(writer, source));
    let keys = source.key().join(", ");
    let function = match writer.number(0, 4) {
        0 => format!("rank() OVER (ORDER BY {part})"),
        1 => format!("row_number() OVER (PARTITION BY {part} ORDER BY {keys})"),
        2 => format!("sum(t.n) OVER (ORDER BY {keys})"),
        3 => format!("lag(t.n) OVER (PARTITION BY {part} ORDER BY {keys})"),
        _ => "count(*) OVER ()".to_owned(),
    };
    let filter =
        if writer.chance(50) { format!(" WHERE {}", writer.filter(source)) } else { String::new() };
    let order = total(writer, &[source]);
    let limit = limit(writer);
    Query {
        text: format!(
            "SELECT {keys}, {function} FROM {}{filter} {order}{limit}",
            source.reference()
        ),
        is_ordered: true,
    }
}

fn distinct(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let source = source(writer, tables, "");
    let filter =
        if writer.chance(60) { format!(" WHERE {}", writer.filter(source)) } else { String::new() };
    let (one, other) = (canonical(writer, source), canonical(writer, source));
    if writer.chance(30) {
        let keys = source.key().join(", ");
        let text = format!(
            "SELECT DISTINCT ON ({0}) {0}, n FROM {1}{filter} ORDER BY {0}, {keys}",
            one.name,
            source.reference()
        );
        return Query { text, is_ordered: true };
    }
    Query::unordered(format!(
        "SELECT DISTINCT {}, {} FROM {}{filter}",
        one.name,
        other.name,
        source.reference()
    ))
}

fn set_operation(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let (left, right) = (source(writer, tables, "x"), source(writer, tables, "y"));
    let one = canonical(writer, left);
    let same: Vec<_> =
        right.table.columns.iter().filter(|column| column.kind == one.kind).collect();
    let (one, other) = if same.is_empty() {
        (left.table.rest()[0].clone(), right.table.rest()[0].clone())
    } else {
        (one.clone(), (*writer.pick(&same)).clone())
    };
    let operation = writer.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
    let mut half = |source: Source<'_>, column: &Column| {
        let filter = if writer.chance(60) {
            format!(" WHERE {}", writer.filter(source))
        } else {
            String::new()
        };
        format!("SELECT {} FROM {}{filter}", source.column(column), source.reference())
    };
    let (left, right) = (half(left, &one), half(right, &other));
    let text = format!("{left} {operation} {right}");
    if writer.chance(50) {
        return Query::unordered(text);
    }
    Query { text: format!("{text} ORDER BY 1"), is_ordered: true }
}

fn with(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let (inner, outer) = (source(writer, tables, "t"), source(writer, tables, "o"));
    let filter = writer.filter(inner);
    let hint = writer.pick(&["", "", " MATERIALIZED", " NOT MATERIALIZED"]);
    let head = format!("WITH w AS{hint} (SELECT * FROM {} WHERE {filter})", inner.reference());
    let again = Source { table: inner.table, alias: "w" };
    if let Some((left, right)) = comparable(writer, again, outer).filter(|_| writer.chance(60)) {
        let text = format!(
            "{head} SELECT w.*, o.n FROM w JOIN {} ON {} = {}",
            outer.reference(),
            again.column(left),
            outer.column(right)
        );
        return Query::unordered(text);
    }
    let filter = writer.condition(again);
    Query::unordered(format!(
        "{head} SELECT *, (SELECT count(*) FROM w) AS c FROM w WHERE {filter}"
    ))
}

fn subquery(writer: &mut Writer<'_>, tables: &[Table]) -> Query {
    let (outer, inner) = (source(writer, tables, "t"), source(writer, tables, "u"));
    let Some((left, right)) = comparable(writer, outer, inner) else {
        return point(writer, tables);
    };
    let (left, right) = (outer.column(left), inner.column(right));
    let filter =
        if writer.chance(50) { format!(" AND {}", writer.condition(inner)) } else { String::new() };
    let from = inner.reference();
    let keys = outer.key().join(", ");
    let text = match writer.number(0, 4) {
        0 => format!(
            "SELECT {keys} FROM {} WHERE {left} IN (SELECT {right} FROM {from} WHERE true{filter})",
            outer.reference()
        ),
        1 => format!(
            "SELECT {keys} FROM {} WHERE {left} NOT IN (SELECT {right} FROM {from} WHERE {right} IS NOT NULL{filter})",
            outer.reference()
        ),
        2 => format!(
            "SELECT * FROM {} WHERE {}EXISTS (SELECT 1 FROM {from} WHERE {right} = {left}{filter})",
            outer.reference(),
            writer.pick(&["", "NOT "])
        ),
        3 => format!(
            "SELECT {keys}, (SELECT count(*) FROM {from} WHERE {right} = {left}{filter}) FROM {}",
            outer.reference()
        ),
        _ => format!("SELECT s.* FROM (SELECT * FROM {from} WHERE true{filter}) s WHERE {}", {
            let again = Source { table: inner.table, alias: "s" };
            writer.filter(again)
        }),
    };
    Query::unordered(text)
}
