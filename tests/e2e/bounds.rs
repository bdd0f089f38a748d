//! Work and memory that grow with what a client asks for, and no faster.
//!
//! The sizes are such that what is quadratic takes minutes, or gigabytes.

use flywheel_tests::raw::{self, Bind, Event, Format, Message};
use flywheel_tests::scrape::Scrape;
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

const TABLE: &str = "CREATE TABLE items (id int PRIMARY KEY, name text)";

async fn items(setup: Setup, home: Home) -> Option<(World, Client)> {
    let world = setup.table_with("public.items", home, &[]).start().await?;
    if !home.is_available(world.servers()) {
        return None;
    }
    let client = world.gateway().await;
    client.batch_execute(TABLE).await.expect("a table");
    Some((world, client))
}

/// `(id,'text')` for each id.
fn values(ids: std::ops::Range<usize>, text: &str) -> String {
    ids.map(|id| format!("({id},'{text}')")).collect::<Vec<_>>().join(",")
}

/// Whatever a statement did to the most memory that the gateway has had, in MB.
struct Growth(usize);

impl Growth {
    fn from_now(world: &World) -> Self {
        world.process().forget_peak();
        Self(world.process().memory())
    }

    fn is_below(&self, world: &World, most: usize) {
        let grown = world.process().peak_memory().saturating_sub(self.0);
        assert!(grown < most, "{grown} MB more");
    }
}

#[tokio::test]
async fn an_insert_of_many_rows() {
    let Some((_world, client)) = items(Setup::default(), Home::Memory).await else { return };
    let insert = format!("INSERT INTO items VALUES {}", values(0..40_000, "a"));
    assert_eq!(client.execute(&insert, &[]).await.expect("an INSERT"), 40_000);
    for taken in [12_345, 60_000] {
        // One key is there, or comes twice.
        let rows = format!("{},({taken},'b')", values(50_000..90_000, "b"));
        Told::of(&client, &format!("INSERT INTO items VALUES {rows}"))
            .await
            .is("23505", &["items_pkey"]);
    }
    let ends =
        "SELECT id || name FROM items WHERE id IN (0, 39999, 40000, 50000, 89999) ORDER BY id";
    assert_eq!(column(&client, ends).await, ["0a", "39999a"]);
}

#[tokio::test]
async fn any_of_many_keys() {
    for home in Home::QUICK {
        let Some((_world, client)) = items(Setup::default(), home).await else { continue };
        client
            .batch_execute(&format!("INSERT INTO items VALUES {}", values(10..20, "a")))
            .await
            .expect("rows");
        let keys: Vec<i32> = (15..50_015).chain([17]).collect();
        let found = client
            .query("SELECT id FROM items WHERE id = ANY($1) ORDER BY id", &[&keys])
            .await
            .expect("rows");
        let found: Vec<i32> = found.iter().map(|row| row.get(0)).collect();
        assert_eq!(found, [15, 16, 17, 18, 19]);
        let counted = client
            .query_one("SELECT count(*) FROM items WHERE id = ANY($1)", &[&keys])
            .await
            .expect("a count");
        assert_eq!(counted.get::<_, i64>(0), 5);
        let list = keys.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        let listed = format!("SELECT id FROM items WHERE id IN ({list}) ORDER BY id");
        assert_eq!(column(&client, &listed).await, ["15", "16", "17", "18", "19"]);
    }
}

/// The limit is for rows: that most keys have none doesn't make it larger.
#[tokio::test]
async fn any_of_many_keys_with_too_many_rows() {
    let setup = Setup::default().limit("max_fetch_rows = 100");
    let Some((_world, client)) = items(setup, Home::Memory).await else { return };
    client
        .batch_execute(&format!("INSERT INTO items VALUES {}", values(0..101, "a")))
        .await
        .expect("rows");
    let keys = (0..1000).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    Told::of(&client, &format!("SELECT * FROM items WHERE id IN ({keys})"))
        .await
        .is("54000", &["more than 100 rows", "max_fetch_rows"]);
    client.batch_execute("DELETE FROM items WHERE id = 50").await.expect("a DELETE");
    let rows = column(&client, &format!("SELECT id FROM items WHERE id IN ({keys})")).await;
    assert_eq!(rows.len(), 100);
}

#[tokio::test]
async fn savepoints_are_no_copies() {
    let Some((world, client)) = items(Setup::default(), Home::Memory).await else { return };
    let oracle = world.oracle().await;
    oracle.batch_execute(TABLE).await.expect("a table");
    let before = Growth::from_now(&world);
    let savepoints = |from: usize| {
        let each = |n| format!("SAVEPOINT s{n};");
        (from..from + 300).map(each).collect::<String>()
    };
    let steps = [
        format!("INSERT INTO items VALUES {}", values(0..3000, "a")),
        savepoints(0),
        "UPDATE items SET name = 'b' WHERE id = 1; INSERT INTO items VALUES (5000, 'b')".to_owned(),
        savepoints(300),
        "UPDATE items SET name = 'c' WHERE id = 1; DELETE FROM items WHERE id = 2".to_owned(),
        "INSERT INTO items VALUES (5001, 'c'); UPDATE items SET name = 'c' WHERE id = 5000"
            .to_owned(),
        savepoints(600),
        "RELEASE s800; INSERT INTO items VALUES (5002, 'd'); DELETE FROM items WHERE id = 1"
            .to_owned(),
        savepoints(900),
    ];
    for client in [&client, &oracle] {
        client.batch_execute("BEGIN").await.expect("BEGIN");
        for step in &steps {
            client.batch_execute(step).await.expect("a step");
        }
    }
    before.is_below(&world, 100);
    let seen = "SELECT id || name FROM items WHERE id IN (0, 1, 2, 5000, 5001, 5002) ORDER BY id";
    for back in ["s1100", "s700", "s599", "s400", "s299", "s0"] {
        for client in [&client, &oracle] {
            client.batch_execute(&format!("ROLLBACK TO {back}")).await.expect(back);
        }
        assert_eq!(column(&client, seen).await, column(&oracle, seen).await, "{back}");
        if back == "s400" {
            let again = "UPDATE items SET name = 'e' WHERE id IN (0, 1, 5000)";
            for client in [&client, &oracle] {
                client.batch_execute(again).await.expect(again);
            }
        }
    }
    for client in [&client, &oracle] {
        client
            .batch_execute("UPDATE items SET name = 'f' WHERE id = 2; COMMIT")
            .await
            .expect("COMMIT");
    }
    assert_eq!(column(&client, seen).await, column(&oracle, seen).await);
}

#[tokio::test]
async fn texts_that_never_come_again() {
    let setup = Setup::default()
        .limit("statement_memory = \"4MB\"")
        .section("[metrics]\nlisten = \"127.0.0.1:0\"");
    let Some((world, client)) = items(setup, Home::Memory).await else { return };
    let text = |table: &str, n: usize| {
        let list = (n..n + 500).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        format!("SELECT id FROM {table} WHERE id IN ({list})")
    };
    client.batch_execute("CREATE TABLE relayed (id int)").await.expect("a table");
    for n in 0..20 {
        column(&client, &text("items", n)).await;
        column(&client, &text("relayed", n)).await;
    }
    let before = Growth::from_now(&world);
    for n in 20..1000 {
        assert_eq!(column(&client, &text("items", n)).await, [""; 0]);
        assert_eq!(column(&client, &text("relayed", n)).await, [""; 0]);
    }
    before.is_below(&world, 40);
    let scrape = Scrape::of(&world).await;
    let kept = scrape.value("flywheel_statement_memory_bytes");
    assert_eq!(scrape.value("flywheel_statement_memory_max_bytes"), f64::from(4 << 20));
    assert!(kept > f64::from(1 << 20) && kept <= f64::from(4 << 20), "{kept} bytes are kept");
}

/// Bind and Execute of the unnamed statement.
fn executed(parameters: &[Option<Vec<u8>>]) -> [Message; 2] {
    let bind = Bind {
        portal: "",
        statement: "",
        parameter_format: Format::Text,
        parameters,
        result_format: Format::Text,
    };
    [Message::bind(&bind), Message::execute("", 0)]
}

#[tokio::test]
async fn a_batch_of_many_executions() {
    const EXECUTIONS: usize = 150_000;
    let Some((world, client)) = items(Setup::default(), Home::Memory).await else { return };
    client.batch_execute("CREATE TABLE relayed (id int)").await.expect("a table");
    let mut socket = TcpStream::connect(world.gateway_address()).await.expect("a connection");
    let startup = Message::startup(&[("user", "postgres"), ("database", "app")]);
    socket.write_all(startup.bytes()).await.expect("a startup packet");
    let (mut from, mut to) = socket.split();
    let before = Growth::from_now(&world);
    let write = async {
        let parse = Message::parse("", "INSERT INTO relayed VALUES ($1)", &[23]);
        to.write_all(parse.bytes()).await.expect("Parse");
        for chunk in 0..EXECUTIONS / 1000 {
            let ids = chunk * 1000..(chunk + 1) * 1000;
            let messages = ids.flat_map(|id| executed(&[Some(id.to_string().into_bytes())]));
            let bytes: Vec<u8> = messages.flat_map(|message| message.bytes().to_vec()).collect();
            to.write_all(&bytes).await.expect("executions");
        }
        to.write_all(Message::sync().bytes()).await.expect("Sync");
    };
    let read = async {
        // The login ends with ReadyForQuery too.
        let (mut done, mut ready) = (0, 0);
        while ready < 2 {
            let tag = from.read_u8().await.expect("a message");
            let length = from.read_i32().await.expect("its length");
            let mut body = vec![0; usize::try_from(length - 4).expect("a length")];
            from.read_exact(&mut body).await.expect("its body");
            assert_ne!(tag, b'E', "{}", String::from_utf8_lossy(&body));
            done += usize::from(tag == b'C');
            ready += usize::from(tag == b'Z');
        }
        done
    };
    let ((), done) = tokio::join!(write, read);
    assert_eq!(done, EXECUTIONS);
    before.is_below(&world, 30);
    let sum = "SELECT count(*) || ' ' || count(DISTINCT id) FROM relayed";
    assert_eq!(column(&client, sum).await, ["150000 150000"]);
}

/// What was sent to the server before the client's Sync is undone by an error that comes later.
#[tokio::test]
async fn a_long_batch_that_fails() {
    for table in ["items", "relayed"] {
        for fails in [false, true] {
            let Some((world, client)) = items(Setup::default(), Home::Memory).await else { return };
            client
                .batch_execute("CREATE TABLE relayed (id int PRIMARY KEY, name text)")
                .await
                .expect("a table");
            let mut raw = world.raw().await;
            let mut messages = vec![Message::parse(
                "",
                &format!("INSERT INTO {table} VALUES ($1, $2)"),
                &[23, 25],
            )];
            let long = vec![b'x'; 60_000];
            for id in 0..20 {
                let parameters = [Some(id.to_string().into_bytes()), Some(long.clone())];
                messages.extend(executed(&parameters));
            }
            if fails {
                messages.extend(executed(&[Some(b"7".to_vec()), None]));
            }
            messages.push(Message::sync());
            raw.send(&messages).await.expect("a batch");
            let answer = raw.until_ready().await.expect("its answer");
            let failed = answer.iter().any(|event| matches!(event, Event::Error(_)));
            let done = answer.iter().filter(|event| matches!(event, Event::Done(_))).count();
            assert_eq!((failed, done), (fails, 20), "{table}");
            assert!(matches!(answer.last(), Some(Event::Ready('I'))), "{answer:?}");
            let count = format!("SELECT count(*) FROM {table} WHERE id IN (0, 7, 19)");
            assert_eq!(column(&client, &count).await, [if fails { "0" } else { "3" }], "{table}");
        }
    }
}

#[tokio::test]
async fn a_result_that_is_not_read() {
    let setup = Setup::default().table_with("public.lines", Home::Memory, &[]);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE lines (page int, n int, line text, PRIMARY KEY (page, n))")
        .await
        .expect("a table");
    let line = "x".repeat(10_000);
    for start in (0..4000).step_by(200) {
        let rows: Vec<_> = (start..start + 200).map(|n| format!("(1,{n},'{line}')")).collect();
        let insert = format!("INSERT INTO lines VALUES {}", rows.join(","));
        client.batch_execute(&insert).await.expect("rows");
    }
    let before = Growth::from_now(&world);
    let mut raw = world.raw().await;
    raw.send(&[Message::query("SELECT line FROM lines WHERE page = 1 ORDER BY n")])
        .await
        .expect("a query");
    assert_eq!(raw.byte().await, Ok(b'T'));
    // The rows as the store gives them, and a copy of them at most.
    before.is_below(&world, 100);
    let mut raw = world.raw().await;
    let answer = raw.query("SELECT line FROM lines WHERE page = 1 ORDER BY n").await;
    let rows =
        answer.expect("an answer").iter().filter(|event| matches!(event, Event::Row(_))).count();
    assert_eq!(rows, 4000);
}

/// Rows in parts, by a portal's limit.
#[tokio::test]
async fn a_long_result_in_parts() {
    let setup = Setup::default().table_with("public.lines", Home::Memory, &[]);
    let Some(world) = setup.start().await else { return };
    let (client, oracle) = (world.gateway().await, world.oracle().await);
    for client in [&client, &oracle] {
        let rows = "SELECT 1, n, repeat('x', 3000) FROM generate_series(1, 100) n";
        client
            .batch_execute(&format!(
                "CREATE TABLE lines (page int, n int, line text, PRIMARY KEY (page, n)); INSERT INTO lines {rows}"
            ))
            .await
            .expect("rows");
    }
    for text in [
        "SELECT n, line FROM lines WHERE page = 1 ORDER BY n",
        "SELECT n, upper(line) FROM lines WHERE page = 1 ORDER BY n",
    ] {
        for limit in [1, 7, 30, 100, 1000] {
            let mut answers = Vec::new();
            for mut raw in [world.raw().await, world.raw_oracle().await] {
                let [bind, _] = executed(&[]);
                let mut messages =
                    vec![Message::query("BEGIN"), Message::parse("", text, &[]), bind];
                messages.extend((0..4).map(|_| Message::execute("", limit)));
                messages.push(Message::sync());
                raw.send(&messages).await.expect("messages");
                let mut answer = raw.until_ready().await.expect("BEGIN");
                answer.extend(raw.until_ready().await.expect("rows"));
                answers.push(answer);
            }
            let [ours, theirs] = &answers[..] else { unreachable!("two clients") };
            assert_eq!(ours, theirs, "{text} by {limit}");
        }
    }
}

#[tokio::test]
async fn messages_that_come_in_halves() {
    const LENGTH: usize = 10_000_000;
    let setup = Setup::default().limit("max_message_size = \"10MB\"");
    let Some(world) = setup.start().await else { return };
    // "SELECT length('xxx…')", in two parts.
    let text = format!("SELECT length('{}')", "x".repeat(LENGTH));
    let bytes = Message::query(&text).bytes().to_vec();
    let (head, tail) = bytes.split_at(9_000_000);
    let before = Growth::from_now(&world);
    let mut first = Vec::new();
    for _ in 0..4 {
        let mut raw = world.raw().await;
        raw.send_bytes(head).await.expect("a half");
        first.push(raw);
    }
    let second: Vec<_> = (0..8).map(|_| answered(&world, bytes.clone())).collect();
    let second = tokio::spawn(futures_util::future::join_all(second));
    // Others aren't kept from what is short, and meanwhile those would have come.
    for _ in 0..100 {
        assert_eq!(column(&world.gateway().await, "SELECT 1").await, ["1"]);
    }
    before.is_below(&world, 75);
    assert!(!second.is_finished());
    // One is whole, the others go: those who have waited come next.
    let mut whole = first.pop().expect("a client");
    drop(first);
    whole.send_bytes(tail).await.expect("the other half");
    assert_eq!(length_in(&whole.until_ready().await.expect("an answer")), LENGTH.to_string());
    for length in second.await.expect("the others") {
        assert_eq!(length, LENGTH.to_string());
    }
}

/// What a query that is sent as these bytes returns.
fn answered(world: &World, bytes: Vec<u8>) -> impl Future<Output = String> + use<> {
    let address = world.gateway_address().to_owned();
    async move {
        let mut raw = raw::Client::login(&address, "postgres", "app").await.expect("a login");
        raw.send_bytes(&bytes).await.expect("a query");
        length_in(&raw.until_ready().await.expect("an answer"))
    }
}

fn length_in(answer: &[Event]) -> String {
    let row = answer.iter().find_map(|event| match event {
        Event::Row(row) => row.first()?.clone(),
        _ => None,
    });
    String::from_utf8(row.expect("a row")).expect("text")
}
