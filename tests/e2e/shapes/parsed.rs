//! The same in the extended protocol: texts that a client parses, with parameters of its own beside
//! the constants, in named and unnamed statements, run once and again, in text and binary.

use flywheel_tests::Home;
use flywheel_tests::raw::{Bind, Client, Event, Format, Message};

use super::{Choices, SHAPES, TYPES, world};

const INT4: u32 = 23;

/// A statement as a client sends it.
struct Sent {
    name: &'static str,
    text: String,
    types: Vec<u32>,
    values: Vec<Option<Vec<u8>>>,
    parameter_format: Format,
    result_format: Format,
    /// How often it is bound and executed.
    runs: usize,
}

impl Sent {
    fn of(choices: &mut Choices, shape: &str, table: &str) -> Self {
        let parameter_format = if choices.below(3) == 0 { Format::Binary } else { Format::Text };
        let (mut types, mut values) = (Vec::new(), Vec::new());
        let mut with_parameters = String::new();
        for part in shape.split_inclusive('#') {
            let is_parameter = part.ends_with('#') && choices.below(3) == 0;
            if !is_parameter {
                with_parameters.push_str(part);
                continue;
            }
            with_parameters.push_str(part.trim_end_matches('#'));
            with_parameters.push_str(&format!("${}", values.len() + 1));
            match parameter_format {
                Format::Binary => {
                    types.push(INT4);
                    let number = [1_i32, 2, -1, 32768][choices.below(4)];
                    values.push(Some(number.to_be_bytes().to_vec()));
                }
                Format::Text => {
                    types.push([0, 0, INT4][choices.below(3)]);
                    let value = choices.of(&["1", "2", "1.5", "x", "2026-01-01", "NULL"]);
                    values.push((value != "NULL").then(|| value.as_bytes().to_vec()));
                }
            }
        }
        Self {
            name: choices.of(&["", "kept"]),
            text: choices.statement(&with_parameters, table),
            types,
            values,
            parameter_format,
            result_format: if choices.below(3) == 0 { Format::Binary } else { Format::Text },
            runs: 1 + choices.below(2),
        }
    }

    /// What a server says to it, rows in any order.
    async fn said(&self, client: &mut Client) -> Vec<String> {
        let bind = Message::bind(&Bind {
            portal: "",
            statement: self.name,
            parameter_format: self.parameter_format,
            parameters: &self.values,
            result_format: self.result_format,
        });
        let close = Message::new(b'C', format!("S{}\0", self.name).as_bytes());
        let parse = Message::parse(self.name, &self.text, &self.types);
        let mut said = Vec::new();
        for run in 0..self.runs {
            let mut batch = Vec::new();
            if run == 0 {
                client.send(&[close.clone(), Message::sync()]).await.expect("sent");
                client.until_ready().await.expect("an answer");
                batch.extend([parse.clone(), Message::describe(b'S', self.name)]);
            }
            batch.extend([
                bind.clone(),
                Message::describe(b'P', ""),
                Message::execute("", 0),
                Message::sync(),
            ]);
            client.send(&batch).await.expect("sent");
            said.extend(shown(client.until_ready().await.expect("an answer")));
        }
        said
    }
}

fn shown(mut said: Vec<Event>) -> Vec<String> {
    if said.iter().any(|event| matches!(event, Event::Error(_))) {
        said.retain(|event| matches!(event, Event::Error(_) | Event::Ready(_)));
    }
    let mut shown: Vec<String> = said
        .iter()
        .map(|event| match event {
            Event::Error(report) => {
                let field = |code| report.field(code).unwrap_or_default().to_owned();
                format!("{} {} at {:?}", field('C'), field('M'), report.field('P'))
            }
            Event::Columns(fields) => {
                let of_field = |field: &flywheel_tests::raw::Field| {
                    (field.name.clone(), field.type_oid, field.modifier, field.format)
                };
                format!("{:?}", fields.iter().map(of_field).collect::<Vec<_>>())
            }
            event => format!("{event:?}"),
        })
        .collect();
    shown.sort();
    shown
}

async fn are_postgresqls(home: Home) {
    let Some(world) = world(home).await else { return };
    let (mut ours, mut theirs) = (world.raw().await, world.raw_oracle().await);
    let mut choices = Choices(1011);
    let mut in_block = 0;
    for round in 0..ROUNDS {
        for (number, types) in TYPES.iter().enumerate() {
            for shape in SHAPES {
                let control = match (in_block, choices.below(40)) {
                    (0, 0) => Some("BEGIN"),
                    (1, _) => Some(choices.of(&["COMMIT", "ROLLBACK"])),
                    _ => None,
                };
                in_block = match control {
                    Some("BEGIN") => 5,
                    _ => usize::saturating_sub(in_block, 1),
                };
                if let Some(control) = control {
                    for client in [&mut ours, &mut theirs] {
                        client.query(control).await.expect("an answer");
                    }
                }
                let sent = Sent::of(&mut choices, shape, &format!("of_{number}"));
                let (ours, theirs) = (sent.said(&mut ours).await, sent.said(&mut theirs).await);
                assert_eq!(
                    ours,
                    theirs,
                    "{} {types:?}, round {round}: {} with {:?} of types {:?}, {} runs",
                    home.name(),
                    sent.text,
                    sent.values,
                    sent.types,
                    sent.runs,
                );
            }
        }
    }
}

const ROUNDS: usize = 2;

#[tokio::test]
async fn parsed_from_memory_are_postgresqls() {
    are_postgresqls(Home::Memory).await;
}

#[tokio::test]
async fn parsed_from_redis_are_postgresqls() {
    are_postgresqls(Home::Redis).await;
}

#[tokio::test]
async fn parsed_from_dynamodb_are_postgresqls() {
    are_postgresqls(Home::Dynoxide).await;
}

/// A statement that is prepared keeps its constants; a definition that comes between two runs
/// doesn't change what they are.
#[tokio::test]
async fn a_prepared_statement_keeps_its_constants() {
    let Some(world) = world(Home::Memory).await else { return };
    let table = format!("of_{}", super::INTEGERS);
    let (ours, theirs) = (world.gateway().await, world.oracle().await);
    let insert = format!("INSERT INTO {table} VALUES (1, 1, 10), (2, 2, 20), (3, 3, 30)");
    let mut prepared = Vec::new();
    for client in [&ours, &theirs] {
        client.batch_execute(&insert).await.expect("rows");
        let mut of_client = Vec::new();
        for number in 1..4 {
            let text = format!("SELECT n FROM {table} WHERE k = {number} AND n > $1 -- {number}");
            of_client.push(client.prepare(&text).await.expect("prepared"));
        }
        prepared.push(of_client);
    }
    for definition in
        ["SELECT 1", "ALTER TABLE @ ADD COLUMN more int", "SET TimeZone = 'Asia/Tokyo'"]
    {
        for (client, statements) in [&ours, &theirs].into_iter().zip(&prepared) {
            let definition = definition.replace('@', &table);
            client.batch_execute(&definition).await.expect("a definition");
            for (number, statement) in (1..).zip(statements) {
                let row = client.query_one(statement, &[&5]).await.expect("a row");
                assert_eq!(row.get::<_, i32>(0), number * 10);
            }
        }
    }
}
