//! `tests/plans/*.plans` say what is planned for which statement; no server is asked.
//!
//! ```text
//! table sessions (id text, user_id int8, data jsonb) key (id) in redis, scan
//! index sessions.by_user (user_id)
//! relation users (id int8, name text)
//!
//! == by its key
//! SELECT data FROM sessions WHERE id = 'a'
//! -> Native on public.sessions (store "redis", redis)
//! ->   Operation: …
//! ```
//!
//! A file begins with its tables: store tables (`table`), their indexes, and tables of PostgreSQL's
//! own (`relation`). What a case expects is what EXPLAIN prints. `FLYWHEEL_WRITE_PLANS=1 cargo test
//! --test plans` writes the plans as they are into the files: read the difference before it is
//! committed.

#[path = "plans/definitions.rs"]
mod definitions;

use std::path::{Path, PathBuf};

use definitions::Definitions;
use flywheel_plan::{Planner, explain};

/// `limits.max_fetch_rows` of the cases.
const MAX_FETCH_ROWS: usize = 10_000;

/// One statement and its plan.
struct Case {
    title: String,
    statement: String,
    /// The plan's lines.
    expected: Vec<String>,
}

/// A file: its tables, as they stand there, and its cases.
struct Plans {
    head: String,
    cases: Vec<Case>,
}

impl Plans {
    fn read(text: &str) -> Self {
        let mut parts = text.split("\n== ");
        let head = parts.next().unwrap_or_default().to_owned();
        let case = |part: &str| {
            let mut lines = part.lines();
            let title = lines.next().unwrap_or_default().to_owned();
            let (expected, statement): (Vec<_>, Vec<_>) =
                lines.filter(|line| !line.is_empty()).partition(|line| line.starts_with("-> "));
            Case {
                title,
                statement: statement.join("\n"),
                expected: expected.iter().map(|line| line[3..].to_owned()).collect(),
            }
        };
        Self { head, cases: parts.map(case).collect() }
    }

    fn write(&self) -> String {
        let mut text = self.head.trim_end().to_owned() + "\n";
        for case in &self.cases {
            text += &format!("\n== {}\n{}\n", case.title, case.statement);
            text.extend(case.expected.iter().map(|line| format!("-> {line}\n")));
        }
        text
    }
}

/// What EXPLAIN prints, without a connection to anything.
fn plan(definitions: &Definitions, statement: &str) -> Vec<String> {
    let parsed = match flywheel_sql::parse(statement) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("Unread: {error:?}")],
    };
    let types = definitions.column_types(&parsed);
    let planner =
        Planner { homes: &definitions.homes, visible: &definitions.visible, types: &types };
    match planner.plan(&parsed) {
        Some(plan) => explain::lines(&plan, (statement, &parsed), MAX_FETCH_ROWS),
        None => vec!["Relayed".into()],
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let entries = std::fs::read_dir(&folder).expect("the folder of plans");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "plans"));
    files.sort();
    files
}

#[test]
fn statements_are_planned_as_their_files_say() {
    let writes = std::env::var_os("FLYWHEEL_WRITE_PLANS").is_some();
    let (mut count, mut differences) = (0, Vec::new());
    for path in files() {
        let mut plans = Plans::read(&std::fs::read_to_string(&path).expect("a file"));
        let definitions = Definitions::read(&plans.head);
        for case in &mut plans.cases {
            let planned = plan(&definitions, &case.statement);
            count += 1;
            if planned != case.expected {
                differences.push(format!(
                    "{}: {}\n{}\nexpected:\n{}\nplanned:\n{}\n",
                    path.display(),
                    case.title,
                    case.statement,
                    case.expected.join("\n"),
                    planned.join("\n")
                ));
            }
            case.expected = planned;
        }
        if writes {
            std::fs::write(&path, plans.write()).expect("the plans are written");
        }
    }
    assert!(count >= 200, "{count} cases");
    assert!(writes || differences.is_empty(), "{}", differences.join("\n"));
}
