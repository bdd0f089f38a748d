//! Prepared statements on store tables whose results change with a definition: clients that were
//! told other columns are told so as by PostgreSQL, and get no value as one of another type.

use flywheel_tests::raw::{Bind, Client, Event, Format, Message};
use flywheel_tests::world::connect;
use flywheel_tests::{Home, Setup, World};

const TABLES: &str = "DROP TABLE IF EXISTS things; DROP TABLE IF EXISTS others; \
    CREATE TABLE things (id int PRIMARY KEY, name text, n int); INSERT INTO things VALUES (1, 'one', 10), (2, 'two', 20); \
    CREATE TABLE others (id int PRIMARY KEY, m int); INSERT INTO others VALUES (1, 7), (2, 8)";

/// What a store answers, PostgreSQL over fetched rows, both over a join, and writes that return
/// rows.
const STATEMENTS: [&str; 6] = [
    "SELECT * FROM things WHERE id = 1",
    "SELECT * FROM things ORDER BY name, id",
    "SELECT * FROM things JOIN others USING (id) ORDER BY id",
    "SELECT * FROM others o WHERE EXISTS (SELECT FROM things t WHERE t.id = o.id) ORDER BY id",
    "UPDATE things SET name = 'changed' WHERE id = 1 RETURNING *",
    "UPDATE things SET name = name || '+' RETURNING *",
];

const CHANGES: [&str; 6] = [
    "ALTER TABLE things ALTER COLUMN n TYPE bigint",
    "ALTER TABLE things ADD COLUMN more int DEFAULT 7",
    "ALTER TABLE things DROP COLUMN n",
    "ALTER TABLE things RENAME COLUMN n TO other",
    "ALTER TABLE others ALTER COLUMN m TYPE bigint",
    "ALTER TABLE others ADD COLUMN more int DEFAULT 7",
];

fn bind(statement: &str, results: &[i16]) -> Message {
    let mut body = vec![0];
    body.extend_from_slice(statement.as_bytes());
    body.extend_from_slice(&[0, 0, 0, 0, 0]);
    body.extend_from_slice(&u16::try_from(results.len()).expect("few").to_be_bytes());
    results.iter().for_each(|format| body.extend_from_slice(&format.to_be_bytes()));
    Message::new(b'B', &body)
}

fn prepare(name: &str, sql: &str) -> Vec<Message> {
    vec![Message::parse(name, sql, &[]), Message::describe(b'S', name), Message::sync()]
}

fn run(name: &str, results: &[i16]) -> Vec<Message> {
    vec![bind(name, results), Message::execute("", 0), Message::sync()]
}

fn run_described(name: &str, results: &[i16]) -> Vec<Message> {
    vec![bind(name, results), Message::describe(b'P', ""), Message::execute("", 0), Message::sync()]
}

async fn answer(client: &mut Client, messages: &[Message]) -> Vec<Event> {
    client.send(messages).await.expect("sent");
    client.until_ready().await.expect("an answer")
}

/// The number of a type of a table's own differs between databases.
fn columns(events: &[Event]) -> usize {
    let columns = events.iter().find_map(|event| match event {
        Event::Columns(fields) => Some(fields.len()),
        _ => None,
    });
    columns.unwrap_or_default()
}

/// Who changes the definitions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// Another client of the gateway.
    Neighbour,
    /// PostgreSQL alone, past all gateways.
    Postgres,
}

async fn world(home: Home) -> Option<World> {
    let world = Setup::default()
        .main("pool_size = 3")
        .table_with("public.things", home, &["allow_drop = true", "allow_scan = true"])
        .start()
        .await?;
    home.is_available(world.servers()).then_some(world)
}

/// The same steps to both; their answers must be the same.
struct Both {
    ours: Client,
    theirs: Client,
    what: String,
}

impl Both {
    async fn of(world: &World, what: String) -> Self {
        Self { ours: world.raw().await, theirs: world.raw_oracle().await, what }
    }

    async fn step(&mut self, messages: &[Message]) -> Vec<Event> {
        let expected = answer(&mut self.theirs, messages).await;
        let given = answer(&mut self.ours, messages).await;
        assert_eq!(given, expected, "{}", self.what);
        expected
    }

    /// The same, where Flywheel learns of a change only when it runs the statement: what comes
    /// before the error needn't be the same.
    async fn outcome(&mut self, messages: &[Message]) {
        let mut expected = answer(&mut self.theirs, messages).await;
        let mut given = answer(&mut self.ours, messages).await;
        for events in [&mut expected, &mut given] {
            if events.iter().any(|event| matches!(event, Event::Error(_))) {
                events.retain(|event| {
                    !matches!(event, Event::Bare('2') | Event::Columns(_) | Event::Parameters(_))
                });
            }
        }
        assert_eq!(given, expected, "{}", self.what);
    }

    async fn query(&mut self, sql: &str) {
        self.step(&[Message::query(sql)]).await;
    }
}

async fn change(world: &World, by: By, sql: &str) {
    let definer = match by {
        By::Neighbour => connect(&world.url()).await,
        By::Postgres => world.behind().await,
    };
    definer.batch_execute(sql).await.expect("changed");
    world.oracle().await.batch_execute(sql).await.expect("changed");
}

async fn reset(world: &World) {
    for client in [world.gateway().await, world.oracle().await] {
        // One by one: a table with rows isn't dropped and made anew in one transaction.
        for sql in TABLES.split("; ") {
            client.batch_execute(sql).await.expect("tables");
        }
    }
}

/// A client that has been told the columns, by Describe or not, meets a change in each way of using
/// its statement.
#[tokio::test]
async fn whoever_was_told_other_columns_gets_the_error_and_no_rows() {
    for home in Home::QUICK {
        let Some(world) = world(home).await else { return };
        // What a store has no part in is the same in all.
        let (statements, changes) = match home {
            Home::Memory => (&STATEMENTS[..], &CHANGES[..]),
            _ => (&STATEMENTS[..3], &CHANGES[..3]),
        };
        for &sql in statements {
            for &definition in changes {
                for by in [By::Neighbour, By::Postgres] {
                    // Past all gateways a store's own answers change a little later.
                    if by == By::Postgres
                        && (definition.contains("things") || !sql.contains("others"))
                    {
                        continue;
                    }
                    let name = if definition.len() % 2 == 0 { "s" } else { "" };
                    reset(&world).await;
                    let mut both = Both::of(
                        &world,
                        format!("{home:?}: {sql}; {definition} by {by:?}, \"{name}\""),
                    )
                    .await;
                    let told = columns(&both.step(&prepare(name, sql)).await);
                    both.step(&run(name, &[])).await;
                    let formats = vec![0_i16; told];
                    change(&world, by, definition).await;
                    for messages in [
                        run(name, &[]),
                        run(name, &[1]),
                        run_described(name, &[]),
                        run_described(name, &formats),
                        run(name, &formats),
                        vec![Message::describe(b'S', name), Message::sync()],
                        prepare("again", sql),
                        run("again", &[1]),
                        run(name, &[]),
                    ] {
                        match by {
                            By::Neighbour => drop(both.step(&messages).await),
                            By::Postgres => both.outcome(&messages).await,
                        }
                    }
                    both.query("SELECT * FROM things JOIN others USING (id) ORDER BY id").await;
                }
            }
        }
    }
}

/// In a block the error aborts it.
#[tokio::test]
async fn in_a_block_the_error_aborts_it() {
    let Some(world) = world(Home::Memory).await else { return };
    for sql in STATEMENTS {
        for definition in CHANGES {
            reset(&world).await;
            let mut both = Both::of(&world, format!("{sql}; {definition}")).await;
            both.step(&prepare("s", sql)).await;
            change(&world, By::Neighbour, definition).await;
            both.query("BEGIN").await;
            both.query("INSERT INTO others VALUES (3, 9)").await;
            both.step(&run("s", &[])).await;
            both.step(&run("s", &[])).await;
            both.query("COMMIT").await;
            both.query("SELECT count(*) FROM others").await;
            // The change is the block's own. What concerns a store's rows isn't done in a block.
            if definition.contains("ALTER TABLE things") {
                continue;
            }
            reset(&world).await;
            both.query("DEALLOCATE ALL; BEGIN").await;
            both.step(&prepare("t", sql)).await;
            both.query(definition).await;
            both.step(&run("t", &[])).await;
            both.query("ROLLBACK").await;
            both.step(&run("t", &[])).await;
        }
    }
}

/// SQL's EXECUTE keeps to the same rule.
#[tokio::test]
async fn execute_of_sql_keeps_to_the_same_rule() {
    let Some(world) = world(Home::Memory).await else { return };
    for sql in STATEMENTS {
        for definition in CHANGES {
            reset(&world).await;
            let mut both = Both::of(&world, format!("{sql}; {definition}")).await;
            both.query(&format!("PREPARE s AS {sql}")).await;
            both.query("EXECUTE s").await;
            change(&world, By::Neighbour, definition).await;
            both.query("EXECUTE s").await;
            both.query("EXECUTE s").await;
            both.query("DEALLOCATE s").await;
            both.query(&format!("PREPARE s AS {sql}")).await;
            both.query("EXECUTE s").await;
        }
    }
}

/// Parameters keep the types of the time of their Parse.
#[tokio::test]
async fn parameters_keep_their_types() {
    let Some(world) = world(Home::Memory).await else { return };
    reset(&world).await;
    let mut both = Both::of(&world, "a key's type".into()).await;
    both.step(&prepare("s", "SELECT name FROM things WHERE id = $1")).await;
    let key = [Some(1_i32.to_be_bytes().to_vec())];
    let bound = |statement| {
        Message::bind(&Bind {
            portal: "",
            statement,
            parameter_format: Format::Binary,
            parameters: &key,
            result_format: Format::Text,
        })
    };
    both.step(&[bound("s"), Message::execute("", 0), Message::sync()]).await;
    both.step(&prepare("t", "SELECT name FROM things WHERE n = $1")).await;
    both.step(&prepare("u", "UPDATE things SET n = $1 WHERE id = 1")).await;
    change(&world, By::Neighbour, "ALTER TABLE things ALTER COLUMN n TYPE bigint").await;
    for statement in ["t", "u", "t"] {
        both.step(&[bound(statement), Message::execute("", 0), Message::sync()]).await;
        both.step(&[Message::describe(b'S', statement), Message::sync()]).await;
    }
    both.query("SELECT * FROM things ORDER BY id").await;
}

/// A function that writes has written nothing when its client is told.
#[tokio::test]
async fn nothing_is_written_before_the_error() {
    let Some(world) = world(Home::Memory).await else { return };
    reset(&world).await;
    for client in [world.gateway().await, world.oracle().await] {
        client
            .batch_execute("CREATE SEQUENCE calls; CREATE TABLE wide (id int PRIMARY KEY, v int); INSERT INTO wide VALUES (1, 1)")
            .await
            .expect("a sequence");
    }
    let mut both = Both::of(&world, "nextval".into()).await;
    let sql = "SELECT w.*, nextval('calls') FROM wide w JOIN things USING (id)";
    both.step(&prepare("s", sql)).await;
    both.step(&run("s", &[])).await;
    change(&world, By::Postgres, "ALTER TABLE wide ADD COLUMN more text").await;
    both.outcome(&run("s", &[])).await;
    both.query("SELECT last_value FROM calls").await;
}

/// Another gateway changes the definition: what PostgreSQL runs over fetched rows learns of it at
/// once.
#[tokio::test]
async fn changes_through_another_gateway() {
    let Some(world) = world(Home::Redis).await else { return };
    let other = world.another_gateway().await;
    let definer = connect(&format!("postgres://postgres@{}/app", other.address())).await;
    let some = "SELECT name FROM things ORDER BY name, id";
    for sql in [STATEMENTS[1], STATEMENTS[2], STATEMENTS[5], some] {
        for definition in &CHANGES[..4] {
            reset(&world).await;
            let mut both = Both::of(&world, format!("{sql}; {definition}")).await;
            both.step(&prepare("s", sql)).await;
            both.step(&run("s", &[])).await;
            definer.batch_execute(definition).await.expect("changed");
            world.oracle().await.batch_execute(definition).await.expect("changed");
            both.outcome(&run("s", &[])).await;
            both.query(sql).await;
            both.outcome(&run("s", &[1])).await;
            both.step(&prepare("t", sql)).await;
            both.step(&run("t", &[])).await;
        }
    }
}
