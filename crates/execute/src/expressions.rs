//! Expressions that need no row, such as `lower($1)`, as they are kept with their statement.

use std::collections::BTreeSet;

use flywheel_sql::Expression;
use flywheel_types::TypeInfo;

use super::rewritten::Rewritten;

/// The expressions of a statement.
#[derive(Debug)]
pub(crate) struct Expressions {
    pub(super) query: Rewritten,
    /// Each with the type that PostgreSQL finds for it.
    pub(super) of: Vec<(Expression, TypeInfo)>,
    /// Some of them say which rows are fetched for PostgreSQL, which computes them again.
    pub(super) are_in_fetches: bool,
}

/// The query of their values. Its last column says whether they are what they seem to be: none of
/// the functions may be a volatile one of the same name.
pub(super) fn query(expressions: &[&Expression]) -> String {
    let values = expressions.iter().map(|expression| format!("({}), ", expression.sql));
    let names = |of: fn(&Expression) -> &BTreeSet<String>| {
        let names = expressions.iter().flat_map(|expression| of(expression));
        names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    };
    let (functions, operators) =
        (names(|expression| &expression.functions), names(|expression| &expression.operators));
    format!(
        "SELECT {}NOT EXISTS (SELECT FROM pg_catalog.pg_proc p \
         WHERE p.proname = ANY (ARRAY[{functions}]::pg_catalog.name[]) AND p.provolatile = 'v' \
         AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator o \
         JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode \
         WHERE o.oprname = ANY (ARRAY[{operators}]::pg_catalog.name[]) AND p.provolatile = 'v' \
         AND o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace)",
        values.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use flywheel_sql::{Constant, Fact, Shape, parse};

    use super::query;

    #[test]
    fn names_are_asked_about() {
        let parsed = parse("SELECT a FROM t WHERE id = lower($1 || 'x')").expect("a query");
        let Some(Shape::Select(select)) = parsed.shape else { panic!("a shape") };
        let [Fact::Compare(_, _, Constant::Expression(expression))] = &select.filter[..] else {
            panic!("{:?}", select.filter)
        };
        let query = query(&[expression]);
        assert!(query.starts_with("SELECT (lower($1 || 'x')), NOT EXISTS"), "{query}");
        assert!(query.contains("ARRAY['lower']") && query.contains("ARRAY['||']"), "{query}");
    }
}
