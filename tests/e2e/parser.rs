//! What the parser finds in a statement is what PostgreSQL's own parser finds: in every statement
//! of PostgreSQL's regression tests and of our suites, and in conditions made at random.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flywheel_sql::{ColumnRef, Conjunct, Constant, Fact, Parsed, Role, parse};
use flywheel_tests::environment;
use flywheel_tests::world::Servers;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

/// What PostgreSQL's parser reads and ours doesn't. PostgreSQL refuses all but the last two when it
/// looks closer.
const UNREAD: &[&str] = &[
    // Since PostgreSQL 16 trailing junk is an error; before, it was another word.
    "PREPARE p1 AS SELECT $1a",
    "PREPARE p1 AS SELECT $0_1",
    // Statistics are of columns of one table only.
    "CREATE STATISTICS tst ON a FROM (VALUES (x)) AS foo",
    "CREATE STATISTICS tst ON a FROM foo NATURAL JOIN bar",
    "CREATE STATISTICS tst ON a FROM (SELECT * FROM ext_stats_test) AS foo",
    "CREATE STATISTICS tst ON a FROM ext_stats_test s TABLESAMPLE system (x)",
    "CREATE STATISTICS tst ON a FROM XMLTABLE('foo' PASSING 'bar' COLUMNS a text)",
    "CREATE STATISTICS tst ON a FROM JSON_TABLE(jsonb '123', '$' COLUMNS (item int))",
    "CREATE STATISTICS alt_stat2 ON a FROM tftest(1)",
    // No relation is meant in these.
    "ALTER STATISTICS IF EXISTS ab1_a_b_stats SET STATISTICS 0",
    "ALTER USER MAPPING FOR user SERVER ss4 OPTIONS (gotcha 'true')",
];

/// What PostgreSQL finds in the statements of these files, or in those that are given.
fn found(python: &Path, files: &[PathBuf], statements: Option<&[String]>) -> Vec<Value> {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/drivers/postgres_parser.py")).args(files);
    let (input, _kept) = match statements {
        None => (Stdio::null(), None),
        Some(statements) => {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            let lines: Vec<String> =
                statements.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
            std::io::Write::write_all(&mut file, lines.join("\n").as_bytes()).expect("written");
            command.arg("-");
            (file.reopen().expect("the file").into(), Some(file))
        }
    };
    let output = command.stdin(input).stderr(Stdio::inherit()).output().expect("python");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).expect("JSON");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn python() -> Option<PathBuf> {
    let python = Servers::from_environment()?.python;
    if python.is_none() {
        eprintln!(
            "./test sets where a Python with pglast is: nothing is compared with PostgreSQL's parser"
        );
    }
    python
}

/// A statement without the comments before it, on one line.
fn plain(text: &str) -> String {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ")
}

/// Role, schema and name, in the order of the names.
type Variables = Vec<(String, Option<String>, String)>;

fn ours(parsed: &Parsed) -> Variables {
    let role = |role| match role {
        Role::Read => "read",
        Role::Target => "target",
        Role::Object => "object",
    };
    let variables = parsed.relations.iter();
    variables
        .map(|relation| {
            (
                role(relation.role).to_owned(),
                relation.name.schema.clone(),
                relation.name.name.clone(),
            )
        })
        .collect()
}

fn theirs(found: &Value) -> Vec<(String, Option<String>, String, usize)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let variables = found["relations"].as_array().expect("variables").iter();
    variables
        .map(|each| {
            let place = usize::try_from(each[3].as_u64().unwrap_or_default()).expect("a place");
            (
                text(&each[0]).expect("a role"),
                text(&each[1]),
                text(&each[2]).expect("a name"),
                place,
            )
        })
        .collect()
}

/// Where range variables differ; `None` where they don't, or PostgreSQL's parser says less.
fn difference(found: &Value, parsed: &Parsed) -> Option<String> {
    let mut theirs = theirs(found);
    // A subquery that is assigned to several columns stands in PostgreSQL's tree once for each.
    theirs.sort();
    theirs.dedup();
    let mut ours = ours(parsed);
    ours.sort();
    // A recursive view and a sampled table are told in another way; names of indexes, sequences and
    // types are no range variables.
    let is_known = |text: &str| text.contains("recursive view") || text.contains("tablesample");
    let text = found["text"].as_str().unwrap_or_default().to_lowercase();
    let mine =
        |role: &str| ours.iter().filter(|each| each.0 == role).cloned().collect::<Variables>();
    let other = |role: &str| -> Variables {
        let variables = theirs.iter().filter(|each| each.0 == role);
        variables
            .map(|(role, schema, name, _)| (role.clone(), schema.clone(), name.clone()))
            .collect()
    };
    let differs =
        ["read", "target"].iter().any(|role| mine(role) != other(role)) && !is_known(&text);
    let is_misplaced =
        theirs.iter().filter(|(role, ..)| role != "object").any(|(_, _, name, place)| {
            let is_there = |relation: &flywheel_sql::Relation| {
                relation.range.contains(place) && relation.name.name == *name
            };
            !parsed.relations.iter().any(is_there)
        });
    (differs || is_misplaced).then(|| format!("{ours:?}, PostgreSQL: {theirs:?}"))
}

#[test]
fn every_statement_is_read_as_postgresql_reads_it() {
    let Some(python) = python() else { return };
    let mut files: Vec<PathBuf> = Vec::new();
    let folders = [
        Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/suites"))),
        std::env::var_os("FLYWHEEL_TEST_STATEMENT_FILES").map(PathBuf::from),
    ];
    for folder in folders.into_iter().flatten() {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let paths = entries.map(|entry| entry.expect("a file").path());
        files.extend(
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "sql")),
        );
    }
    let statements = found(&python, &files, None);
    let mut wrong = BTreeMap::new();
    for found in &statements {
        let text = found["text"].as_str().expect("a text");
        let difference = match parse(text) {
            Ok(parsed) => difference(found, &parsed),
            Err(_) if UNREAD.contains(&plain(text).as_str()) => None,
            Err(error) => Some(error.to_string()),
        };
        wrong.extend(difference.map(|difference| (plain(text), difference)));
    }
    eprintln!("{} statements", statements.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn constant(constant: &Constant) -> String {
    match constant {
        Constant::Null => "null".into(),
        Constant::Bool(flag) => flag.to_string(),
        Constant::Number(digits) => digits.clone(),
        Constant::String(text) => format!("'{text}'"),
        Constant::Parameter(position) => format!("${}", position + 1),
        Constant::Cast(inner, _) => format!("cast {}", self::constant(inner)),
        Constant::Element(inner) => self::constant(inner),
        Constant::Expression(expression) => expression.sql.clone(),
    }
}

fn column(column: &ColumnRef) -> String {
    let qualifier = column.qualifier.iter().map(|qualifier| format!("{qualifier}."));
    qualifier.chain([column.name.clone()]).collect()
}

fn facts(conjuncts: &[Conjunct]) -> Vec<String> {
    let is_computed =
        |each: &Conjunct| matches!(each.fact, Fact::Compare(_, _, Constant::Expression(_)));
    // The two of BETWEEN, of which PostgreSQL's parser gives none where one isn't a constant.
    let is_one = |first: &Conjunct, second: &Conjunct| {
        first.sql == second.sql
            && first.sql.contains("BETWEEN")
            && (is_computed(first) || is_computed(second))
    };
    let groups = conjuncts.chunk_by(is_one);
    groups
        .map(|group| if group.len() > 1 { "other".into() } else { fact(&group[0].fact) })
        .collect()
}

fn fact(fact: &Fact) -> String {
    match fact {
        // PostgreSQL's parser finds no constant there.
        Fact::Compare(_, _, Constant::Expression(_)) => "other".into(),
        Fact::Compare(left, comparison, right) => {
            format!("{} {} {}", column(left), comparison.sign(), constant(right))
        }
        Fact::In(columns, rows) if columns.len() == 1 => {
            match rows.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
                [[element @ Constant::Element(_)]] => {
                    format!("{} any {}", column(&columns[0]), constant(element))
                }
                ref rows => {
                    let values: Vec<_> =
                        rows.iter().flat_map(|row| row.iter().map(constant)).collect();
                    format!("{} in {}", column(&columns[0]), values.join(", "))
                }
            }
        }
        Fact::Same(left, right) => format!("{} same {}", column(left), column(right)),
        _ => "other".into(),
    }
}

const ATOMS: &[&str] = &[
    "a",
    "b",
    "t.c",
    "public.t.d",
    "1",
    "-2",
    "'x'",
    "$1",
    "NULL",
    "TRUE",
    "3::int",
    "CAST(4 AS text)",
    "date '2020-01-01'",
    "(a)",
    "f(a)",
    "(SELECT 1)",
    "ARRAY[1]",
    "ROW(a, b)",
    "(a, b)",
    "E'x'",
    "current_date",
    "CASE WHEN a THEN b END",
    "interval '1' year",
    "B'1'",
    "1.5e3",
    "count(*)",
    "EXISTS (SELECT 1)",
];
const INFIX: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "<",
    ">",
    "=",
    "<=",
    ">=",
    "<>",
    "!=",
    "||",
    "->",
    "@>",
    "&&",
    "~",
    "LIKE",
    "ILIKE",
    "NOT LIKE",
    "SIMILAR TO",
    "IS DISTINCT FROM",
    "IS NOT DISTINCT FROM",
    "AND",
    "AND",
    "AND",
    "OR",
    "=",
    "=",
    "AT TIME ZONE",
    "OPERATOR(pg_catalog.+)",
    "<<",
    "OVERLAPS",
];
const PREFIX: &[&str] = &["NOT", "-", "+", "@", "~", "NOT NOT", "- -"];
const POSTFIX: &[&str] = &[
    "IS NULL",
    "IS NOT NULL",
    "ISNULL",
    "NOTNULL",
    "IS TRUE",
    "IS NOT FALSE",
    "IS UNKNOWN",
    "COLLATE \"C\"",
    "::int",
    "::text[]",
    "[1]",
    "BETWEEN 1 AND 2",
    "NOT BETWEEN 1 AND 2",
    "BETWEEN SYMMETRIC 1 AND 2",
    "BETWEEN a AND 5",
    "IN (1, 2)",
    "NOT IN (1, 2)",
    "IN ('x')",
    "= ANY ($1)",
    "= ANY ('{1}'::int[])",
    "= SOME (ARRAY[1, 2])",
    "AT LOCAL",
    "IS NORMALIZED",
    "IS JSON",
    "< ALL ($2)",
];
/// Behind one of these the parser reads no second of them: PostgreSQL does, though it makes little
/// sense of it.
const LAST: &[&str] =
    &["ISNULL", "NOTNULL", "AT LOCAL", "IS NORMALIZED", "IS JSON", "BETWEEN", "COLLATE"];

fn condition(random: &mut StdRng, size: u32) -> String {
    let mut pick = |words: &[&str]| words.choose(random).copied().unwrap_or_default().to_owned();
    if size == 0 {
        return pick(ATOMS);
    }
    match random.random_range(0..20) {
        0..3 => {
            let prefix = PREFIX.choose(random).copied().unwrap_or_default();
            format!("{prefix} {}", condition(random, size - 1))
        }
        3..7 => {
            let inner = condition(random, size - 1);
            format!("{inner} {}", POSTFIX.choose(random).copied().unwrap_or_default())
        }
        7..9 => format!("({})", condition(random, size - 1)),
        _ => {
            let left = random.random_range(0..size);
            let (left, right) = (condition(random, left), condition(random, size - 1 - left));
            format!("{left} {} {right}", INFIX.choose(random).copied().unwrap_or_default())
        }
    }
}

/// A wrong binding of operators would be a wrong condition, and so a wrong answer. Where less is
/// concluded than could be, PostgreSQL decides.
#[test]
fn conditions_are_bound_as_postgresql_binds_them() {
    let Some(python) = python() else { return };
    let seed = environment::number("FLYWHEEL_TEST_SEED", 7);
    let count = environment::number("FLYWHEEL_TEST_CONDITIONS", 20_000);
    let mut random = StdRng::seed_from_u64(seed);
    let texts: Vec<String> = (0..count)
        .map(|_| {
            let size = random.random_range(1..8);
            format!("SELECT * FROM t WHERE {}", condition(&mut random, size))
        })
        .collect();
    let (mut read, mut compared, mut unread) = (0, 0, 0);
    for found in found(&python, &[], Some(&texts)) {
        let Some(text) = found["text"].as_str() else { continue };
        read += 1;
        let parsed = match parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let many = LAST.iter().map(|word| text.matches(word).count()).sum::<usize>();
                assert!(many > 1 || text.contains("NOT"), "{error}: {text}");
                unread += 1;
                continue;
            }
        };
        let theirs: Vec<&str> =
            found["facts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let ours = facts(&parsed.relations[0].conjuncts);
        if parsed.relations.len() == 1 {
            compared += 1;
            assert_eq!(ours.len(), theirs.len(), "{text}: {ours:?}, PostgreSQL: {theirs:?}");
            let agree = |(ours, theirs): (&String, &&str)| ours == "other" || ours == theirs;
            assert!(
                ours.iter().zip(&theirs).all(agree),
                "{text}: {ours:?}, PostgreSQL: {theirs:?} (seed {seed})"
            );
        }
    }
    eprintln!("{read} conditions that PostgreSQL reads, {compared} compared, {unread} unread");
    assert!(compared > count / 4 && unread < read / 20);
}
