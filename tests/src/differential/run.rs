//! Both servers, statement by statement.

use std::collections::HashMap;

use super::place::Place;
use super::sequence::{Sequence, Step, sequence};
use super::way::Way;
use crate::raw::{Client, Event, Field, Lost, Report};
use crate::suite::{Encoded, Mode, Statement, compare, encode};
use crate::{World, environment, shrink};

/// Statements that share tables and a session.
const LENGTH: usize = 120;
/// More differences than this are told another time.
const MOST: usize = 4;

/// Runs sequences made at random with their tables in `place`, until so many statements were asked;
/// panics with the differences, each cut down to what it needs.
///
/// `FLYWHEEL_TEST_SEED` is the first sequence's seed, `FLYWHEEL_TEST_STATEMENTS` the number of
/// statements.
pub async fn check(place: Place) {
    let Some(world) = place.setup().start().await else { return };
    if !place.is_available(world.servers()) {
        eprintln!("{} isn't there to test with", place.name);
        return;
    }
    let seed = environment::number("FLYWHEEL_TEST_SEED", 1);
    let count = environment::number("FLYWHEEL_TEST_STATEMENTS", 360);
    let mut encodings = Encodings::of(world.raw_oracle().await);
    let mut differences = Vec::new();
    for seed in seed..seed + count.div_ceil(LENGTH as u64) {
        let sequence = sequence(seed, &place, LENGTH);
        let Some(first) = differ(&world, &mut encodings, &sequence, &sequence.steps).await else {
            continue;
        };
        let steps = sequence.steps[..first.at.min(sequence.steps.len() - 1) + 1].to_vec();
        let steps = shrink::shortest(steps, async |steps| {
            let difference = differ(&world, &mut encodings, &sequence, steps).await;
            difference.is_some_and(|difference| difference.kind() == first.kind())
        })
        .await;
        let last = differ(&world, &mut encodings, &sequence, &steps).await;
        let lines: String = steps.iter().map(line).collect();
        differences.push(format!(
            "== seed {seed}, tables in {}\n{};\n{lines}--\n{}",
            place.name,
            sequence.definitions.join(";\n"),
            last.map_or_else(|| format!("not always:\n{}", first.text), |last| last.text)
        ));
        if differences.len() == MOST {
            break;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Where the answers part.
struct Difference {
    /// The step; past the last: what the tables hold at the end.
    at: usize,
    text: String,
}

impl Difference {
    /// What each server says first that the other doesn't, roughly: a sequence that is cut down may
    /// differ in another way, which is another matter.
    fn kind(&self) -> Vec<&str> {
        let said = self
            .text
            .lines()
            .filter(|line| line.starts_with("  PostgreSQL: ") || line.starts_with("  Flywheel: "));
        said.map(|line| line.get(..32).unwrap_or(line)).collect()
    }
}

/// Parameters as PostgreSQL writes them, each asked once.
struct Encodings {
    client: Client,
    known: HashMap<(String, Option<String>), Encoded>,
}

impl Encodings {
    fn of(client: Client) -> Self {
        Self { client, known: HashMap::new() }
    }

    async fn of_statement(&mut self, statement: &Statement) -> Encoded {
        let mut all = Encoded::default();
        for parameter in &statement.parameters {
            let key = (parameter.ty.clone(), parameter.value.clone());
            if !self.known.contains_key(&key) {
                let encoded = encode(&mut self.client, std::slice::from_ref(parameter)).await;
                self.known.insert(key.clone(), encoded);
            }
            all.extend(&self.known[&key]);
        }
        all
    }
}

async fn differ(
    world: &World,
    encodings: &mut Encodings,
    sequence: &Sequence,
    steps: &[Step],
) -> Option<Difference> {
    let (mut flywheel, mut postgres) = (world.raw().await, world.raw_oracle().await);
    for (client, name) in [(&mut flywheel, "Flywheel"), (&mut postgres, "PostgreSQL")] {
        let drops = sequence.tables.iter().map(|table| format!("DROP TABLE IF EXISTS {table}"));
        for text in drops.chain(sequence.definitions.iter().cloned()) {
            let answer = client.query(&text).await.expect("an answer");
            if let Some(error) = answer.iter().find(|event| matches!(event, Event::Error(_))) {
                return Some(Difference {
                    at: 0,
                    text: format!("{name} refuses\n{text}\n{error}"),
                });
            }
        }
    }
    let whole = sequence.tables.iter().map(|table| {
        let mut statement = Statement::new(format!("SELECT * FROM {table}"));
        statement.sorted = true;
        statement.line = usize::MAX;
        statement
    });
    let end = std::iter::once(Statement::new("ROLLBACK".to_owned())).chain(whole);
    let way = Way::Asked(Mode::Simple);
    let end = end.map(|statement| Step { statement, way: way.clone(), may_be_refused: false });
    for (at, step) in steps.iter().cloned().chain(end).enumerate() {
        let parameters = encodings.of_statement(&step.statement).await;
        let answered = step.way.ask(&mut flywheel, &step.statement, &parameters).await;
        if step.may_be_refused && is_refused(&answered) {
            // Nothing of it has been done: nothing of it is done in PostgreSQL either.
            for client in [&mut flywheel, &mut postgres] {
                client.query("ROLLBACK").await.expect("an answer");
            }
            continue;
        }
        let expected = step.way.ask(&mut postgres, &step.statement, &parameters).await;
        if let Some(difference) = compare(
            promised(expected, &step.statement),
            promised(answered, &step.statement),
            &step.statement,
        ) {
            return Some(Difference { at, text: format!("{}{difference}", line(&step)) });
        }
    }
    None
}

fn is_refused(answer: &Result<Vec<Event>, Lost>) -> bool {
    let refuses =
        |event: &Event| matches!(event, Event::Error(report) if report.state() == "0A000");
    answer.as_ref().is_ok_and(|events| events.iter().any(refuses))
}

/// Of errors only SQLSTATE: which row an error tells of depends on the order in which rows are met;
/// so does, where several rows break several rules, which rule it is.
fn promised(answer: Result<Vec<Event>, Lost>, statement: &Statement) -> Result<Vec<Event>, Lost> {
    let is_fetched = statement.sql.starts_with("FETCH");
    let has_rows = statement.sql.contains("), (")
        || (statement.sql.contains("INSERT") && statement.sql.contains("SELECT"));
    let promised = |event| match event {
        Event::Error(report) => {
            let is_rule = report.state().starts_with("23") || report.state() == "21000";
            let state = if has_rows && is_rule { "a rule" } else { report.state() };
            Event::Error(Report(vec![('C', state.to_owned())]))
        }
        Event::Columns(fields) => {
            Event::Columns(fields.into_iter().map(|field| promised_of(field, is_fetched)).collect())
        }
        event => event,
    };
    Ok(answer?.into_iter().map(promised).collect())
}

/// Not which column of a table a cursor's is; nor an expression's modifier, for which PostgreSQL
/// has one answer when it has parsed a statement and another when it has planned it.
const fn promised_of(mut field: Field, is_fetched: bool) -> Field {
    if is_fetched {
        field.column = 0;
    }
    if field.column == 0 {
        field.modifier = -1;
    }
    field
}

/// A step as a suite's file would say it.
fn line(step: &Step) -> String {
    let parameters: Vec<_> = step
        .statement
        .parameters
        .iter()
        .map(|parameter| {
            let value = parameter.value.as_ref().map_or_else(
                || "NULL".to_owned(),
                |value| format!("'{}'", value.replace('\'', "''")),
            );
            format!("{} {value}", parameter.ty)
        })
        .collect();
    let parameters = if parameters.is_empty() {
        String::new()
    } else {
        format!("-- params: {}\n", parameters.join(", "))
    };
    format!("{parameters}{}; -- {}\n", step.statement.sql, step.way.name())
}
