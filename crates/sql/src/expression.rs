//! Expressions that need no row, such as `lower($1)` or `now() - interval '1 day'`. PostgreSQL
//! computes them before the rows of their statement are read.
//!
//! Only functions and types of PostgreSQL's own are read, by their names. A name may mean another
//! function all the same, of a schema that the search path has: whoever computes an expression asks
//! PostgreSQL whether one of that name is volatile.

use std::collections::BTreeSet;

use crate::syntax::{Kind, Node, is_computed, word};

/// The longest that are read, in bytes.
const LONGEST: usize = 1000;

/// An expression of constants, operators and functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Where it begins in its text. The same words give another value in another place, if they
    /// are volatile.
    pub start: usize,
    /// It as written, without comments.
    pub sql: String,
    /// The names of the functions in it, without schemas.
    pub functions: BTreeSet<String>,
    /// The names of the operators in it, without schemas.
    pub operators: BTreeSet<String>,
    /// Whether it gives another value each time that it is computed.
    pub is_volatile: bool,
}

impl Expression {
    /// What stands on the right of a comparison or of BETWEEN: the same for every row.
    ///
    /// Everything that is read binds more tightly than a comparison, so it ends where PostgreSQL
    /// takes it to end, however the grammar has bound what is inside.
    pub(crate) fn compared(expr: Node<'_>) -> Option<Self> {
        Self::of(expr).filter(|expression| !expression.is_volatile)
    }

    /// What is assigned to a column, once. It ends at a comma, a parenthesis or a clause.
    pub(crate) fn assigned(expr: Node<'_>) -> Option<Self> {
        Self::of(expr)
    }

    fn of(expr: Node<'_>) -> Option<Self> {
        if expr.range().len() > LONGEST {
            return None;
        }
        let mut found = Self {
            start: expr.range().start,
            sql: String::new(),
            functions: BTreeSet::new(),
            operators: BTreeSet::new(),
            is_volatile: false,
        };
        for node in expr.all().filter(|node| !node.is_token()) {
            found.add(node)?;
        }
        found.is_volatile = found.functions.iter().any(|name| VOLATILE.contains(&name.as_str()));
        found.sql = expr.sql();
        Some(found)
    }

    /// Notes what a node of it names; `None` where it may need a row, or do something.
    fn add(&mut self, node: Node<'_>) -> Option<()> {
        use Kind::*;
        match node.kind() {
            LITERAL => (!node.has(DEFAULT_KW)).then_some(()),
            NAME_REF if is_computed(node) => Some(()),
            NAME_REF if is_in_name(node) => Some(()),
            NAME_REF | FIELD_EXPR => self.add_function(node),
            BIN_EXPR | PREFIX_EXPR => {
                let sign = node.children().find(|child| child.is_token());
                sign.is_none_or(|sign| self.add_operator(sign)).then_some(())
            }
            CUSTOM_OP => {
                let name = node.tokens().map(Node::text).collect();
                self.operators.insert(name);
                Some(())
            }
            SELECT => is_scalar(node).then_some(()),
            PATH_TYPE => is_own_type(node).then_some(()),
            PAREN_EXPR | CALL_EXPR | ARG_LIST | ARG | CAST_EXPR | COLON_COLON | AT_TIME_ZONE => {
                Some(())
            }
            EXTRACT_FN
            | EXTRACT_FIELD_NAME
            | EXTRACT_FIELD_LITERAL
            | TRIM_FN
            | TRIM_BOTH
            | TRIM_LEADING
            | TRIM_TRAILING
            | TRIM_FROM
            | TRIM_EXPRS
            | TRIM_EXPR_FROM
            | SUBSTRING_FN
            | SUBSTRING_EXPRS
            | SUBSTRING_FROM_FOR
            | SUBSTRING_FOR_FROM => Some(()),
            SELECT_CLAUSE | TARGET_LIST | TARGET => Some(()),
            PATH_REF | PATH_SEGMENT_REF | VARCHAR_TYPE | CHARACTER_TYPE | DOUBLE_TYPE
            | TIME_TYPE | TIMESTAMP_TYPE | INTERVAL_TYPE | WITH_TIMEZONE | WITHOUT_TIMEZONE
            | INTERVAL_DAY | INTERVAL_HOUR | INTERVAL_MINUTE | INTERVAL_MONTH | INTERVAL_SECOND
            | INTERVAL_YEAR => Some(()),
            _ => None,
        }
    }

    /// Notes a function that is called by this name.
    fn add_function(&mut self, name: Node<'_>) -> Option<()> {
        let called = name.parent().filter(|parent| parent.is(Kind::CALL_EXPR))?;
        if called.nodes().next() != Some(name) {
            return None;
        }
        let function = match name.kind() {
            Kind::FIELD_EXPR => {
                let mut parts = name.nodes();
                let (schema, function) = (parts.next()?, parts.next()?);
                word(function).filter(|_| word(schema).as_deref() == Some("pg_catalog"))?
            }
            _ => word(name)?,
        };
        let is_read = |names: &[&str]| names.contains(&function.as_str());
        (is_read(FUNCTIONS) || is_read(VOLATILE)).then(|| {
            self.functions.insert(function);
        })
    }

    /// Notes an operator that is one token; false where it isn't one that only computes.
    fn add_operator(&mut self, sign: Node<'_>) -> bool {
        use Kind::*;
        let computes = matches!(sign.kind(), PLUS | MINUS | STAR | SLASH | PERCENT | CARET);
        if computes {
            self.operators.insert(sign.text().to_owned());
        }
        computes
    }
}

/// Whether it is a part of a function's name with a schema.
fn is_in_name(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| parent.is(Kind::FIELD_EXPR))
}

/// Whether a SELECT is one expression in parentheses, and nothing else.
fn is_scalar(select: Node<'_>) -> bool {
    let Some(clause) = select.child(Kind::SELECT_CLAUSE) else { return false };
    let is_alone = select.children().count() == 1
        && clause
            .children()
            .all(|child| matches!(child.kind(), Kind::SELECT_KW | Kind::TARGET_LIST));
    let mut targets = clause.child(Kind::TARGET_LIST).into_iter().flat_map(Node::nodes);
    let (only, others) = (targets.next(), targets.next());
    is_alone
        && select.parent().is_some_and(|parent| parent.is(Kind::PAREN_EXPR))
        && others.is_none()
        && only.is_some_and(|target| target.children().count() == 1)
}

/// Whether a type's name means one of PostgreSQL's own, which runs nobody's code.
fn is_own_type(path: Node<'_>) -> bool {
    let mut names = path.all().filter(|node| node.is(Kind::PATH_SEGMENT_REF)).map(word);
    match (names.next().flatten(), names.next(), names.next()) {
        (Some(name), None, _) => TYPES.contains(&name.as_str()),
        (Some(schema), Some(Some(name)), None) => {
            schema == "pg_catalog" && TYPES.contains(&name.as_str())
        }
        _ => false,
    }
}

/// Functions of pg_catalog, and what looks like one, that give one value and the same for every row
/// of a statement.
pub(crate) const FUNCTIONS: &[&str] = &[
    "abs",
    "age",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "current_setting",
    "date_part",
    "date_trunc",
    "decode",
    "encode",
    "floor",
    "greatest",
    "initcap",
    "json_build_object",
    "jsonb_build_object",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "make_timestamptz",
    "md5",
    "mod",
    "now",
    "nullif",
    "octet_length",
    "power",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "rpad",
    "rtrim",
    "sha256",
    "sign",
    "split_part",
    "sqrt",
    "strpos",
    "substr",
    "substring",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "transaction_timestamp",
    "trim",
    "trunc",
    "upper",
];

/// Those that give another value each time.
const VOLATILE: &[&str] = &["clock_timestamp", "gen_random_uuid", "random", "statement_timestamp"];

/// Types of pg_catalog.
const TYPES: &[&str] = &[
    "bigint",
    "bool",
    "boolean",
    "bytea",
    "date",
    "decimal",
    "float",
    "float4",
    "float8",
    "inet",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "json",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "text",
    "timestamptz",
    "uuid",
    "varchar",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{condition, read};

    fn of(right: &str) -> Option<Expression> {
        let tree = read(&format!("SELECT a FROM t WHERE id = {right}")).ok()?;
        let select = tree.root()?.nodes().next()?;
        Expression::compared(condition(select)?.nodes().nth(1)?)
    }

    #[test]
    fn needs_no_row() {
        for right in [
            "$1 + 1",
            "lower($1)",
            "pg_catalog.lower('A' || $1)",
            "now() - interval '1 day'",
            "now() - interval '1' year",
            "current_date",
            "-($1::int)",
            "(SELECT current_setting('app.tenant'))::int",
            "coalesce($1, 'a')",
            "$1::jsonb ->> 'id'",
            "extract(epoch from now())",
            "trim(both from $1)",
            "now() at time zone 'utc'",
            "date_trunc('day', $1::timestamptz)",
        ] {
            assert!(of(right).is_some(), "{right}");
        }
        let found = of("lower($1 || /* x */ 'b') ").expect("one that needs no row");
        assert_eq!(found.sql, "lower($1 || 'b')");
        assert!(found.functions.contains("lower") && found.operators.contains("||"));
    }

    #[test]
    fn needs_one_or_does_something() {
        for right in [
            "a + 1",
            "lower(a)",
            "t.a",
            "my_function(1)",
            "public.lower($1)",
            "nextval('s')",
            "random()",
            "gen_random_uuid()",
            "$1::my_domain",
            "(SELECT 1 FROM t)",
            "(SELECT 1 LIMIT 1)",
            "(SELECT DISTINCT 1)",
            "(SELECT 1, 2)",
            "count(*)",
            "sum($1) OVER ()",
            "$1 > 1",
            "CASE WHEN $1 THEN 1 END",
            "lower($1) COLLATE \"C\"",
            "ANY ($1)",
            "ARRAY[$1 + 1]",
        ] {
            assert_eq!(of(right), None, "{right}");
        }
        assert_eq!(of(&format!("lower('{}')", "x".repeat(LONGEST))), None);
    }
}
