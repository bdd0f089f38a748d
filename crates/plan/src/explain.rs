//! A plan in words, a line each.

use std::collections::HashSet;

use flywheel_sql::{ColumnRef, Comparison, Constant, Fact, Parsed, Relation};
use flywheel_store::Operation;

use crate::access::End;
use crate::native::{
    NativeRanked, NativeSelect, NativeTop, OnConflict, RankedRows, ReadOperation, ScoreAccess,
};
use crate::{Access, Fetch, FetchAccess, General, Home, KeySource, Native, NewValuesQuery, Plan};

/// The plan of a statement.
#[must_use]
pub fn lines(plan: &Plan, (text, parsed): (&str, &Parsed), max_fetch_rows: usize) -> Vec<String> {
    let mut lines = lines_of(plan, (text, parsed), max_fetch_rows);
    let mut expressions = plan.native_expressions();
    if expressions.is_empty() {
        expressions = plan.fetch_expressions();
    }
    if !expressions.is_empty() {
        let mut all: Vec<_> =
            expressions.iter().map(|expression| expression.sql.as_str()).collect();
        let mut told = HashSet::new();
        all.retain(|sql| told.insert(*sql));
        lines.push(format!("  PostgreSQL computes first: {}", all.join(", ")));
    }
    lines
}

fn lines_of(plan: &Plan, (text, parsed): (&str, &Parsed), max_fetch_rows: usize) -> Vec<String> {
    if let Some((Native::Top(top), home)) = &plan.native {
        let mut out = vec!["Mixed: PostgreSQL runs the statement over fetched rows".to_owned()];
        out.push(format!("  Fetch {} ({})", home.name(), place(home)));
        out.extend(top_lines(top, home).into_iter().map(|line| format!("    {line}")));
        return out;
    }
    if let Some((native, home)) = &plan.native {
        let mut out = vec![format!("Native on {} ({})", home.name(), place(home))];
        out.extend(native_lines(native, home).into_iter().map(|line| format!("  {line}")));
        return out;
    }
    match &plan.general {
        General::Read { fetches, in_tables } => {
            let mut out = vec![match in_tables {
                true => "Mixed: PostgreSQL runs the statement over fetched rows, put into its own tables for it".to_owned(),
                false => "Mixed: PostgreSQL runs the statement over fetched rows".to_owned(),
            }];
            out.extend(fetches.iter().flat_map(|fetch| fetch_lines(fetch, parsed, max_fetch_rows)));
            out
        }
        General::Write { targets, fetches, on_conflict, .. } => {
            let mut out = vec!["Staged: PostgreSQL runs the statement on staged rows, their difference is written to the store".to_owned()];
            for target in targets {
                let write = target.home.store.describe(Operation::WriteAll, &target.home.table);
                out.push(format!("  Write {} ({})", target.home.name(), place(&target.home)));
                out.push(format!(
                    "    Operation: {write}, if the rows are still as they were read"
                ));
                match &target.fetch {
                    Some(fetch) => out.extend(
                        fetch_lines(fetch, parsed, max_fetch_rows)
                            .into_iter()
                            .map(|line| format!("  {line}")),
                    ),
                    None if *on_conflict => {
                        out.push("    Fetch: the rows whose keys the new rows have".into())
                    }
                    None => {}
                }
            }
            if NewValuesQuery::of(text, parsed, &plan.general, 0).is_some() {
                out.push(
                    "  Without staging where the new values are of their columns' types".into(),
                );
            }
            out.extend(fetches.iter().flat_map(|fetch| fetch_lines(fetch, parsed, max_fetch_rows)));
            out
        }
        General::Refuse(error) => vec![format!("Refused: {}", error.message())],
    }
}

fn place(home: &Home) -> String {
    format!("store \"{}\", {}", home.store_name, home.store.kind())
}

fn native_lines(native: &Native, home: &Home) -> Vec<String> {
    let describe =
        |operation| format!("Operation: {}", home.store.describe(operation, &home.table));
    match native {
        Native::Select(select) => select_lines(select, home),
        Native::Top(top) => top_lines(top, home),
        Native::Count(count) => {
            let mut out = vec![describe(Operation::CountByScore { whole: count.range.is_whole() })];
            out.extend(score_lines(&count.range, home));
            out
        }
        Native::Ranked(ranked) => ranked_lines(ranked, home),
        Native::Insert(insert) => {
            let operation =
                if insert.row_count() > 1 { Operation::WriteAll } else { Operation::Put };
            let condition = match insert.on_conflict {
                OnConflict::Error => "Condition: the key is not there, else 23505",
                OnConflict::Nothing => "Condition: the key is not there, else nothing",
                OnConflict::Replace => "Condition: none, a row of this key is replaced",
                OnConflict::Update => "Condition: the key is not there, else the row is updated",
            };
            vec![describe(operation), condition.into()]
        }
        Native::Update(update) => {
            let added: Vec<_> = update
                .added()
                .map(|position| home.table.table.columns[position].name.as_str())
                .collect();
            let condition = if added.is_empty() {
                "Condition: the key is there".into()
            } else {
                format!(
                    "Condition: the key is there, and {} can be added to, else PostgreSQL computes it",
                    added.join(", ")
                )
            };
            vec![describe(Operation::Update), access_line(&update.access, home), condition]
        }
        Native::Delete(delete) => {
            vec![describe(Operation::Delete), access_line(&delete.access, home)]
        }
    }
}

fn select_lines(select: &NativeSelect, home: &Home) -> Vec<String> {
    let mut out =
        vec![format!("Operation: {}", home.store.describe(select.operation(), &home.table))];
    let order = match &select.read {
        ReadOperation::Keys(access) => {
            out.push(access_line(access, home));
            None
        }
        ReadOperation::Range { access, descending } => {
            out.push(access_line(access, home));
            Some(("sort key", *descending))
        }
        ReadOperation::Some => {
            out.push("Rows: any, as many as LIMIT says".to_owned());
            None
        }
        ReadOperation::ByScore { range, descending } => {
            out.extend(score_lines(range, home));
            Some(("score", *descending))
        }
    };
    if !select.filter.is_empty() {
        let conditions = select.filter.told().map(|(column, comparison, values)| {
            let column = &home.table.table.columns[column].name;
            let values: Vec<_> = values.iter().map(constant).collect();
            match &values[..] {
                [value] => format!("{column} {} {value}", comparison.sign()),
                values => format!("{column} IN ({})", values.join(", ")),
            }
        });
        out.push(format!("Filter: {}", conditions.collect::<Vec<_>>().join(" AND ")));
    }
    out.extend(order.map(|(what, descending)| format!("Order: {what} {}", direction(descending))));
    out.extend(page_lines(select.limit.as_ref(), select.offset.as_ref()));
    out
}

fn direction(descending: bool) -> &'static str {
    if descending { "descending" } else { "ascending" }
}

fn page_lines(limit: Option<&Constant>, offset: Option<&Constant>) -> impl Iterator<Item = String> {
    let limit = limit.map(|limit| format!("Limit: {}", constant(limit)));
    limit.into_iter().chain(offset.map(|offset| format!("Offset: {}", constant(offset))))
}

/// The set, and between which scores.
fn score_lines(range: &ScoreAccess, home: &Home) -> Vec<String> {
    let name = &home.table.table.columns[range.score].name;
    let mut out = vec![access_line(&range.access, home)];
    let ends: Vec<_> = [(&range.lower, ">"), (&range.upper, "<")]
        .into_iter()
        .filter_map(|(end, open)| {
            let end = end.as_ref()?;
            Some(format!(
                "{name} {open}{} {}",
                if end.inclusive { "=" } else { "" },
                constant(&end.value)
            ))
        })
        .collect();
    if !ends.is_empty() {
        out.push(format!("Score: {}", ends.join(", ")));
    }
    out
}

fn top_lines(top: &NativeTop, home: &Home) -> Vec<String> {
    let operation = Operation::ByScore { descending: top.descending, whole: false };
    let mut out = vec![format!("Operation: {}", home.store.describe(operation, &home.table))];
    out.extend(score_lines(&top.range, home));
    out.push(format!(
        "Order: score {}, with all that equal the last row",
        direction(top.descending)
    ));
    out.extend(page_lines(Some(&top.limit), top.offset.as_ref()));
    out
}

fn ranked_lines(ranked: &NativeRanked, home: &Home) -> Vec<String> {
    let order = format!("Rank: by score {}", direction(ranked.descending));
    match &ranked.rows {
        RankedRows::One(access) => vec![
            format!("Operation: {}", home.store.describe(Operation::Rank, &home.table)),
            access_line(access, home),
            order,
        ],
        RankedRows::Range { range, limit, offset } => {
            let operation =
                Operation::ByScore { descending: ranked.descending, whole: range.is_whole() };
            let mut out =
                vec![format!("Operation: {}", home.store.describe(operation, &home.table))];
            out.extend(score_lines(range, home));
            out.push(order);
            out.extend(page_lines(limit.as_ref(), offset.as_ref()));
            out
        }
    }
}

fn fetch_lines(fetch: &Fetch, parsed: &Parsed, max_fetch_rows: usize) -> Vec<String> {
    let home = &fetch.home;
    let relation = &parsed.relations[fetch.relation];
    let alias = relation.alias.as_ref().map_or(String::new(), |alias| format!(" {alias}"));
    let operation = match &fetch.access {
        FetchAccess::Direct(Access::All) => Operation::Scan,
        FetchAccess::Direct(access @ Access::Keys(_)) if access.is_single() => Operation::Get,
        FetchAccess::Direct(Access::Keys(_)) => Operation::GetMany,
        FetchAccess::Direct(access) => access.range_operation(),
        FetchAccess::Joined { index: Some(index), .. } => Operation::IndexRange(*index),
        FetchAccess::Joined { .. } if home.table.table.primary_key.len() == 1 => Operation::GetMany,
        FetchAccess::Joined { .. } => Operation::Range,
    };
    let rows = match &fetch.access {
        FetchAccess::Direct(Access::All) if !home.table.allow_scan => {
            "Rows: all, which `allow_scan = false` refuses".into()
        }
        FetchAccess::Direct(access) => access_line(access, home),
        FetchAccess::Joined { index, source } => {
            let column = order_names(home, *index)[0];
            match source {
                KeySource::Postgres { sql, .. } => format!("Key: {column} from PostgreSQL: {sql}"),
                KeySource::Fetched { relation, .. } => {
                    format!(
                        "Key: {column} from the rows of {}",
                        parsed.relations[*relation].qualifier()
                    )
                }
            }
        }
    };
    let mut out = vec![
        format!("  Fetch {}{alias} ({})", home.name(), place(home)),
        format!("    Operation: {}", home.store.describe(operation, &home.table)),
        format!("    {rows}"),
    ];
    if matches!(fetch.access, FetchAccess::Direct(Access::All)) {
        out.extend(home.unused_indexes().map(|why| format!("    {why}")));
    }
    let checked = checked_by_postgres(fetch, relation);
    if !checked.is_empty() {
        out.push(format!("    Not pushed down: {}", checked.join(", ")));
    }
    // Keys say themselves how many rows there may be.
    if !matches!(fetch.access, FetchAccess::Direct(Access::Keys(_))) {
        out.push(format!("    At most {max_fetch_rows} rows"));
    }
    out
}

/// The conditions on the table that only PostgreSQL checks, on the rows that were fetched.
fn checked_by_postgres(fetch: &Fetch, relation: &Relation) -> Vec<String> {
    let table = &fetch.home.table.table;
    let own = |column: &ColumnRef| match &column.qualifier {
        Some(qualifier) => {
            (qualifier == relation.qualifier()).then(|| table.column(&column.name)).flatten()
        }
        None => table.column(&column.name),
    };
    let mut checked = Vec::new();
    for conjunct in &relation.conjuncts {
        let concerns = conjunct.columns.iter().any(|column| own(column).is_some());
        if concerns && !conjunct.sql.is_empty() && !is_pushed(&conjunct.fact, fetch, own) {
            let sql = conjunct.sql.replace('\n', " ");
            // BETWEEN is two conditions of one text.
            if checked.last() != Some(&sql) {
                checked.push(sql);
            }
        }
    }
    checked
}

/// Whether the access that was chosen comes from the condition, among others.
fn is_pushed(fact: &Fact, fetch: &Fetch, own: impl Fn(&ColumnRef) -> Option<usize>) -> bool {
    let index = match &fetch.access {
        FetchAccess::Direct(Access::Partitions { index, .. })
        | FetchAccess::Joined { index, .. } => *index,
        FetchAccess::Direct(_) => None,
    };
    let key = fetch.home.table.order_columns(index);
    let place = |column: &ColumnRef| key.iter().position(|position| Some(*position) == own(column));
    let leads = |column: &ColumnRef| match &fetch.access {
        FetchAccess::Direct(Access::All) => false,
        FetchAccess::Direct(Access::Keys(_)) => place(column).is_some(),
        FetchAccess::Direct(Access::Partitions { .. }) | FetchAccess::Joined { .. } => {
            place(column) == Some(0)
        }
    };
    let is_end =
        |end: &Option<End>, value: &Constant| end.as_ref().is_some_and(|end| end.value == *value);
    match (fact, &fetch.access) {
        (Fact::Compare(column, comparison, value), FetchAccess::Direct(access)) => {
            match (access, place(column)) {
                (Access::Keys(keys), Some(place)) => {
                    *comparison == Comparison::Equal && keys.iter().any(|key| key[place] == *value)
                }
                (Access::Partitions { values, .. }, Some(0)) => {
                    *comparison == Comparison::Equal && values.contains(value)
                }
                (Access::Partitions { lower, upper, .. }, Some(1)) => match comparison {
                    Comparison::Equal => is_end(lower, value) && is_end(upper, value),
                    Comparison::Greater | Comparison::GreaterOrEqual => is_end(lower, value),
                    Comparison::Less | Comparison::LessOrEqual => is_end(upper, value),
                },
                _ => false,
            }
        }
        (Fact::In(columns, _), FetchAccess::Direct(_)) => columns.iter().all(leads),
        // A join is PostgreSQL's anyhow.
        (Fact::Same(..), _) => true,
        (Fact::Member { column, .. }, _) => leads(column),
        _ => false,
    }
}

/// The names of the columns of the primary key or an index.
fn order_names(home: &Home, index: Option<usize>) -> Vec<&str> {
    let columns = home.table.order_columns(index).iter();
    columns.map(|&position| home.table.table.columns[position].name.as_str()).collect()
}

fn access_line(access: &Access, home: &Home) -> String {
    let key_names = order_names(home, None);
    match access {
        Access::All => "Rows: all".into(),
        Access::Keys(keys) => match &keys[..] {
            [key] => format!(
                "Key: {}",
                key_names
                    .iter()
                    .zip(key)
                    .map(|(name, value)| format!("{name} = {}", constant(value)))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            keys => format!("Keys: {} of ({})", keys.len(), key_names.join(", ")),
        },
        Access::Partitions { index, values, lower, upper } => {
            let key_names = order_names(home, *index);
            let values: Vec<_> = values.iter().map(constant).collect();
            let mut out = match &values[..] {
                [one] => format!("Key: {} = {one}", key_names[0]),
                many => format!("Key: {} in ({})", key_names[0], many.join(", ")),
            };
            let sort = key_names.get(1).copied().unwrap_or_default();
            let end = |end: &Option<End>, open: &str| {
                end.as_ref().map_or(String::new(), |end| {
                    format!(
                        ", {sort} {open}{} {}",
                        if end.inclusive { "=" } else { "" },
                        constant(&end.value)
                    )
                })
            };
            match lower {
                Some(only) if access.fixes_sort() => {
                    out.push_str(&format!(", {sort} = {}", constant(&only.value)))
                }
                _ => {
                    out.push_str(&end(lower, ">"));
                    out.push_str(&end(upper, "<"));
                }
            }
            out
        }
    }
}

/// A constant as SQL.
#[must_use]
pub fn constant(constant: &Constant) -> String {
    match constant {
        Constant::Null => "NULL".into(),
        Constant::Bool(flag) => flag.to_string(),
        Constant::Number(digits) => digits.clone(),
        Constant::String(text) => format!("'{}'", text.replace('\'', "''")),
        Constant::Parameter(position) => format!("${}", position + 1),
        Constant::Element(array) => format!("ANY({})", self::constant(array)),
        Constant::Cast(inner, name) => format!("{}::{name}", self::constant(inner)),
        Constant::Expression(expression) => expression.sql.clone(),
    }
}
