//! Both servers, side by side.

use std::fmt::Write;
use std::path::Path;

use super::mode::Encoded;
use super::{Mode, Parameter, Statement, Suite};
use crate::raw::{Client, Event, Field, Lost};
use crate::world::{Home, Setup};

/// Runs the file with its tables in `home`, in every mode. Panics with all differences.
pub async fn check(file: &str, home: Home) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites").join(file);
    let suite = Suite::read(&path);
    let mut differences = Vec::new();
    for mode in Mode::ALL {
        let Some(found) = run(&suite, home, mode).await else { return };
        differences.extend(found);
    }
    assert!(
        differences.is_empty(),
        "{} differences in {file} with its tables in {}\n\n{}",
        differences.len(),
        home.name(),
        differences.join("\n")
    );
}

/// The differences in one mode; `None` when the home isn't there.
async fn run(suite: &Suite, home: Home, mode: Mode) -> Option<Vec<String>> {
    let mut setup = Setup::default();
    for table in &suite.tables {
        // A home without sorted sets keeps a leaderboard as any other table.
        let has_sorted_sets = !matches!(home, Home::Dynoxide | Home::DynamoDb | Home::RedisJson);
        let is_layout = |key: &str| key.starts_with("layout") || key.starts_with("score");
        let keys =
            table.keys.iter().map(String::as_str).filter(|key| has_sorted_sets || !is_layout(key));
        let indexes = indexes(table, home);
        let keys: Vec<_> = keys.chain(["allow_scan = true"]).chain(indexes.as_deref()).collect();
        setup = setup.table_with(&table.name, home, &keys);
    }
    let world = setup.start().await?;
    if !home.is_available(world.servers()) {
        eprintln!("{} isn't there to test with", home.name());
        return None;
    }
    let mut flywheel = world.raw().await;
    let mut postgres = world.raw_oracle().await;
    // Apart from the sessions under test, whose settings and transactions come and go.
    let mut encoder = world.raw_oracle().await;
    let whole_tables = suite.tables.iter().map(whole_table);
    let mut differences = Vec::new();
    for statement in suite.statements.iter().cloned().chain(whole_tables) {
        if !statement.runs_in(home.name()) {
            continue;
        }
        let parameters = encode(&mut encoder, &statement.parameters).await;
        let expected = mode.ask(&mut postgres, &statement, &parameters).await;
        let answered = mode.ask(&mut flywheel, &statement, &parameters).await;
        let lost = answered.is_err();
        if let Some(difference) = compare(expected, answered, &statement) {
            let place = format!("{}:{}", suite.path.display(), statement.line);
            differences.push(format!(
                "{place} [{}, {}]\n{}\n{difference}",
                home.name(),
                mode.name(),
                statement.sql
            ));
        }
        if lost {
            flywheel = world.raw().await;
        }
    }
    Some(differences)
}

/// The table's `indexes`, where the home has any. An emulator's follow at once, whatever DynamoDB's
/// may do.
fn indexes(table: &super::StoreTable, home: Home) -> Option<String> {
    let further = match home {
        Home::Dynoxide | Home::DynamoDb => ", consistent_read = false",
        Home::Redis | Home::RedisJson | Home::Memory => "",
        Home::Relational => return None,
    };
    let indexes: Vec<_> =
        table.indexes.iter().map(|index| format!("{{ {index}{further} }}")).collect();
    (!indexes.is_empty()).then(|| format!("indexes = [{}]", indexes.join(", ")))
}

fn whole_table(table: &super::StoreTable) -> Statement {
    let mut statement = Statement::new(format!("SELECT * FROM {}", table.name));
    statement.sorted = true;
    statement
}

fn without_user_type(field: &Field) -> Field {
    let mut field = field.clone();
    if field.type_oid >= FIRST_USER_OID {
        field.type_oid = FIRST_USER_OID;
    }
    field
}

/// The parameters as PostgreSQL itself writes them.
pub(crate) async fn encode(client: &mut Client, parameters: &[Parameter]) -> Encoded {
    let mut encoded = Encoded::default();
    for Parameter { ty, value } in parameters {
        let text = value
            .as_ref()
            .map_or_else(|| "NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
        let probe = Statement::new(format!("SELECT CAST({text} AS {ty})"));
        let answer = Mode::Binary
            .ask(client, &probe, &Encoded::default())
            .await
            .expect("PostgreSQL's answer");
        for event in answer {
            match event {
                Event::Columns(columns) => encoded.types.push(columns[0].type_oid),
                Event::Row(mut row) => encoded.binary.push(row.remove(0)),
                Event::Error(error) => panic!("a parameter {ty} {text}: {error:?}"),
                _ => {}
            }
        }
        client.query(&format!("DEALLOCATE s{}", probe.line)).await.expect("PostgreSQL's answer");
        encoded.text.push(value.as_ref().map(|value| value.clone().into_bytes()));
    }
    encoded
}

/// How the answers differ.
pub(crate) fn compare(
    expected: Result<Vec<Event>, Lost>,
    answered: Result<Vec<Event>, Lost>,
    statement: &Statement,
) -> Option<String> {
    let expected = normal(expected, statement);
    let answered = normal(answered, statement);
    if expected == answered {
        return None;
    }
    let mut text = String::new();
    let same_from_start =
        expected.iter().zip(&answered).take_while(|(left, right)| left == right).count();
    let rest = |lines: &[String]| {
        lines[same_from_start..]
            .iter()
            .take(8)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n              ")
    };
    let _ = writeln!(text, "  PostgreSQL: {}", rest(&expected));
    let _ = writeln!(text, "  Flywheel:   {}", rest(&answered));
    Some(text)
}

/// The first object identifier that PostgreSQL gives to a user's type: these differ between two
/// databases.
const FIRST_USER_OID: u32 = 16384;

/// An answer as lines, without what may differ: the order in which settings are reported, the
/// numbers of a user's own types, and how much of an answer had been sent when an error ended it.
fn normal(answer: Result<Vec<Event>, Lost>, statement: &Statement) -> Vec<String> {
    let events = match answer {
        Ok(events) => events,
        Err(lost) => return vec![format!("no answer: {lost:?}")],
    };
    let mut settings: Vec<String> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    let failed = events.iter().any(|event| matches!(event, Event::Error(_)));
    for event in &events {
        match event {
            Event::Bare(_) | Event::Parameters(_) | Event::Columns(_) | Event::Row(_) if failed => {
            }
            Event::Columns(fields) => lines
                .push(Event::Columns(fields.iter().map(without_user_type).collect()).to_string()),
            // They may come at any time.
            Event::Setting(..) => settings.push(event.to_string()),
            Event::Row(_) if statement.sorted => rows.push(event.to_string()),
            _ => {
                rows.sort();
                lines.append(&mut rows);
                lines.push(event.to_string());
            }
        }
    }
    settings.sort();
    settings.extend(lines);
    settings
}
