//! Answers from tables in stores that are ended by whoever writes there, as the stores tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flywheel_tests::cache::{count, shown};
use flywheel_tests::child::run;
use flywheel_tests::endpoint::send;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{column, dynoxide, flywheel, until};
use flywheel_tests::{Home, Setup, World};
use rand::Rng;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::cache_replication::{followed, past};
use super::redis_servers::Server;

/// A rule over these tables.
fn rule(tables: &[&str], max_lag: &str) -> String {
    format!(
        "[[cache]]\nwhen = {{ tables = {tables:?} }}\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = {max_lag:?}"
    )
}

/// What all names in a shared server begin with.
fn unique(world: &World) -> String {
    let name = world.primary().name();
    name.strip_suffix("_flywheel").expect("a world's database").to_owned()
}

/// A connection to Redis beside Flywheel.
struct Beside(BufReader<TcpStream>);

impl Beside {
    async fn of(world: &World) -> Self {
        Self::at(world.servers().redis.as_deref().expect("a Redis").trim_start_matches("redis://"))
            .await
    }

    async fn at(address: &str) -> Self {
        let stream = TcpStream::connect(address.trim_end_matches('/')).await.expect("a connection");
        Self(BufReader::new(stream))
    }

    async fn run(&mut self, command: &str) {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await.expect("a command");
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("an answer");
        assert!(line.starts_with(['+', ':']), "{command}: {line}");
    }
}

/// Whether it is answered from memory.
async fn is_hit(client: &Client, sql: &str) -> bool {
    let hits = count(client, "hits").await;
    column(client, sql).await;
    count(client, "hits").await > hits
}

/// `kept` must be answered from memory once `change` has ended `ended`.
async fn ends(
    client: &Client,
    ended: &str,
    wanted: &[&str],
    kept: Option<&str>,
    change: impl Future<Output = ()>,
) {
    for sql in kept.iter().chain([&ended]) {
        until(&format!("a hit for {sql}"), async || is_hit(client, sql).await).await;
    }
    change.await;
    until(&format!("{wanted:?} from {ended}"), async || column(client, ended).await == wanted)
        .await;
    if let Some(kept) = kept {
        assert!(is_hit(client, kept).await, "{kept} isn't concerned");
    }
}

#[tokio::test]
async fn what_others_write_to_redis() {
    let tables =
        ["public.sessions", "public.profiles", "public.visits", "public.board", "public.plain"];
    let setup = Setup::default()
        .section(&rule(&tables, "10s"))
        .table("public.sessions", Home::Redis)
        .table("public.profiles", Home::RedisJson)
        .table_with("public.visits", Home::Redis, &["allow_scan = true", "allow_drop = true"])
        .table_with(
            "public.board",
            Home::Redis,
            &["layout = \"sorted_set\"", "score = \"n\"", "allow_scan = true"],
        );
    let Some(world) = setup.start().await else { return };
    if !Home::Redis.is_available(world.servers()) {
        return;
    }
    let (client, behind) = (world.gateway().await, world.behind().await);
    client
        .batch_execute(
            "CREATE TABLE sessions (id uuid PRIMARY KEY, n int); CREATE TABLE profiles (id text PRIMARY KEY, n int);
             CREATE TABLE visits (who text, day int, n int, PRIMARY KEY (who, day)); CREATE TABLE board (who text PRIMARY KEY, n bigint NOT NULL);
             CREATE TABLE plain (id int PRIMARY KEY, who text); INSERT INTO plain VALUES (1, 'ann'), (2, 'bob');
             INSERT INTO sessions VALUES ('00000000-0000-0000-0000-00000000000A', 1), ('00000000-0000-0000-0000-00000000000B', 1);
             INSERT INTO profiles VALUES ('a:b', 1), ('c', 1); INSERT INTO board VALUES ('ann', 1);
             INSERT INTO visits VALUES ('ann', 1, 1), ('ann', 2, 1), ('bob', 1, 1)",
        )
        .await
        .expect("tables");
    followed(&client).await;
    let mut redis = Beside::of(&world).await;
    let head = format!("{{{}:public.", unique(&world));
    let session = |digit: char| {
        format!("SELECT n FROM sessions WHERE id = '00000000-0000-0000-0000-00000000000{digit}'")
    };
    let profile = |id: &str| format!("SELECT n FROM profiles WHERE id = '{id}'");
    let visit =
        |who: &str, day: i32| format!("SELECT n FROM visits WHERE who = '{who}' AND day = {day}");
    let joined =
        "SELECT v.n FROM plain p JOIN visits v ON v.who = p.who WHERE p.id = 1 AND v.day = 2";
    let days = |who: &str| format!("SELECT n FROM visits WHERE who = '{who}' ORDER BY day");
    // What is written in Redis, the answer that it ends, what that is then, and an answer that
    // stays.
    let changes: [(&str, &str, &[&str], &str); 10] = [
        (
            "HSET HEADsessions:00000000-0000-0000-0000-00000000000a} n 2",
            &session('a'),
            &["2"],
            &session('b'),
        ),
        (
            "DEL HEADsessions:00000000-0000-0000-0000-00000000000a}",
            &session('a'),
            &[],
            &session('b'),
        ),
        (
            "HSET HEADsessions:00000000-0000-0000-0000-00000000000b} n 3",
            "SELECT sum(n) FROM sessions",
            &["3"],
            &profile("c"),
        ),
        (
            "SET HEADprofiles:a%3Ab} '{\"id\":\"a:b\",\"n\":5}'",
            &profile("a:b"),
            &["5"],
            &profile("c"),
        ),
        ("PEXPIRE HEADprofiles:a%3Ab} 50", &profile("a:b"), &[], &profile("c")),
        ("HSET HEADvisits:ann}:1 n 7", &visit("ann", 1), &["7"], &visit("bob", 1)),
        ("HSET HEADvisits:ann}:1 n 8", &days("ann"), &["8", "1"], &visit("ann", 2)),
        // A row that goes from its partition's order only.
        ("ZREMRANGEBYRANK HEADvisits:bob} 0 -1", &days("bob"), &[], &visit("ann", 2)),
        ("HSET HEADvisits:ann}:2 n 9", joined, &["9"], &visit("ann", 1)),
        ("ZADD HEADboard} 50 ann", "SELECT n FROM board WHERE who = 'ann'", &["50"], &profile("c")),
    ];
    for (command, ended, wanted, kept) in changes {
        ends(&client, ended, wanted, Some(kept), redis.run(&command.replace("HEAD", &head))).await;
    }
    // PostgreSQL's part of the rule.
    ends(&client, joined, &[], Some(&profile("c")), async {
        behind
            .batch_execute("UPDATE plain SET who = 'nobody' WHERE id = 1")
            .await
            .expect("a write");
    })
    .await;
    // What is written here is seen at once.
    for n in 100..130 {
        client
            .batch_execute(&format!("UPDATE profiles SET n = {n} WHERE id = 'c'"))
            .await
            .expect("a write");
        assert_eq!(column(&client, &profile("c")).await, [n.to_string()]);
    }
    // Another definition, with another key.
    for sql in [
        "DROP TABLE visits",
        "CREATE TABLE visits (day int, who text, n int, PRIMARY KEY (day, who))",
    ] {
        client.batch_execute(sql).await.expect(sql);
    }
    client
        .batch_execute("INSERT INTO visits VALUES (1, 'ann', 1), (1, 'bob', 1)")
        .await
        .expect("rows");
    let (ann, bob) = (visit("ann", 1), visit("bob", 1));
    let mut n = 3;
    // Until the new key is known everything ends.
    until("another row isn't concerned", async || {
        n += 1;
        until("hits", async || is_hit(&client, &bob).await && is_hit(&client, &ann).await).await;
        redis.run(&format!("HSET {head}visits:1}}:ann n {n}")).await;
        until("what is written", async || column(&client, &ann).await == [n.to_string()]).await;
        is_hit(&client, &bob).await
    })
    .await;
}

/// The check's output, and whether all is well.
async fn check(world: &World) -> (bool, String) {
    let mut command = Command::new(flywheel());
    command.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]);
    let checked = run(&mut command).await;
    (checked.status.success(), checked.stdout)
}

#[tokio::test]
async fn a_redis_that_refuses_to_tell() {
    let server = Server::start(&[]).await;
    let rights = "ACL SETUSER app on >secret ~{* +@read +@write +@scripting +@connection +scan -client|tracking";
    server.cli(&rights.split(' ').collect::<Vec<_>>()).await;
    let setup = Setup::default()
        .section(&rule(&["public.sessions"], "10s"))
        .redis_at(&format!("redis://app:secret@127.0.0.1:{}", server.port))
        .table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY, n int); INSERT INTO sessions VALUES (1, 1)",
        )
        .await
        .expect("a table");
    let words = [
        "\"public.sessions\" in store \"redis\" can't be followed",
        "client tracking takes Redis 6",
        "invalidate = \"writes\"",
    ];
    until("the problem", async || {
        let problems = shown(&client, "problems").await;
        words.iter().all(|word| problems.contains(word))
    })
    .await;
    let (well, told) = check(&world).await;
    assert!(!well && words.iter().all(|word| told.contains(word)), "{told}");
    let read = "SELECT n FROM sessions WHERE id = 1";
    for _ in 0..3 {
        assert_eq!(column(&client, read).await, ["1"]);
    }
    assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (3, 0));
    server.cli(&["ACL", "SETUSER", "app", "+client|tracking"]).await;
    until("a hit", async || is_hit(&client, read).await).await;
    assert_eq!(shown(&client, "problems").await, "");
    let (well, told) = check(&world).await;
    assert!(well, "{told}");
}

#[tokio::test]
async fn without_news_from_redis_nothing_is_answered_from_memory() {
    let server = Server::start(&[]).await;
    let network = Proxy::to(&format!("127.0.0.1:{}", server.port)).await;
    let setup = Setup::default()
        .section(&rule(&["public.sessions"], "1s"))
        .redis_at(&format!("redis://{}", network.address()))
        .table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY, n int); INSERT INTO sessions VALUES (1, 1)",
        )
        .await
        .expect("a table");
    let read = "SELECT n FROM sessions WHERE id = 1";
    let mut beside = Beside::at(&format!("127.0.0.1:{}", server.port)).await;
    let key = format!("{{{}:public.sessions:1}}", unique(&world));
    // Cut off; taken and not carried; the connections that are there lead nowhere.
    for (n, state) in [Network::Down, Network::Silent, Network::Forgetful].into_iter().enumerate() {
        until("a hit", async || is_hit(&client, read).await).await;
        let before = past(&client, "lag").await;
        network.becomes(state);
        until("a lag", async || {
            // Where it isn't answered from memory, Redis isn't there to answer.
            let _ = client.simple_query(read).await;
            past(&client, "lag").await > before
        })
        .await;
        beside.run(&format!("HSET {key} n {}", n + 10)).await;
        let hits = count(&client, "hits").await;
        let _ = client.simple_query(read).await;
        assert_eq!(count(&client, "hits").await, hits);
        network.becomes(Network::Up);
        until("an answer", async || client.simple_query(read).await.is_ok()).await;
        assert_eq!(column(&client, read).await, [(n + 10).to_string()]);
    }
    until("a hit", async || is_hit(&client, read).await).await;
}

#[tokio::test]
async fn what_others_write_to_dynamodb() {
    for home in [Home::Dynoxide, Home::DynamoDb] {
        let setup = Setup::default()
            .section(&rule(&["public.visits", "public.bare"], "10s"))
            .section(&rule(&["public.bare"], "10s"))
            .table("public.visits", home)
            .table("public.bare", home);
        let Some(world) = setup.start().await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        client
            .batch_execute(
                "CREATE TABLE visits (who text, day int, n int, PRIMARY KEY (who, day)); CREATE TABLE bare (id int PRIMARY KEY);
                 INSERT INTO visits VALUES ('ann', 1, 1), ('ann', 2, 1)",
            )
            .await
            .expect("tables");
        let url = match home {
            Home::Dynoxide => dynoxide().to_owned(),
            _ => world.servers().dynamodb[0].clone(),
        };
        let name = |table: &str| format!("{}-public.{table}", unique(&world));
        let words = |table: &str| {
            [
                format!("\"public.{table}\" in store \"{}\" can't be followed", home.name()),
                "switch DynamoDB Streams on for it".to_owned(),
            ]
        };
        until("the problems", async || {
            let problems = shown(&client, "problems").await;
            words("visits").iter().chain(&words("bare")).all(|word| problems.contains(word))
        })
        .await;
        let (well, told) = check(&world).await;
        assert!(
            !well && words("visits").iter().chain(&words("bare")).all(|word| told.contains(word)),
            "{told}"
        );
        let visit = |day: i32| format!("SELECT n FROM visits WHERE who = 'ann' AND day = {day}");
        column(&client, &visit(1)).await;
        assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (1, 0));
        // Of two tables of a rule, one isn't enough.
        let stream = json!({ "StreamEnabled": true, "StreamViewType": "KEYS_ONLY" });
        let switch = async |table: &str| {
            send(
                &url,
                "UpdateTable",
                &json!({ "TableName": name(table), "StreamSpecification": stream }),
            )
            .await;
        };
        let item = |day: &str, n: &str| json!({ "who": { "S": "ann" }, "day": { "N": day }, "n": { "N": n } });
        let put = async |item: Value| {
            send(&url, "PutItem", &json!({ "TableName": name("visits"), "Item": item })).await;
        };
        switch("visits").await;
        until("one problem", async || {
            let problems = shown(&client, "problems").await;
            !problems.contains("public.visits") && problems.contains("public.bare")
        })
        .await;
        column(&client, &visit(1)).await;
        assert_eq!((past(&client, "lag").await, count(&client, "hits").await), (2, 0));
        switch("bare").await;
        let days = "SELECT n FROM visits WHERE who = 'ann' ORDER BY day";
        // DynamoDB Local can't read on from where there was no record yet: so much has been missed.
        for n in ["5", "6"] {
            ends(&client, &visit(1), &[n], None, put(item("1", n))).await;
        }
        ends(&client, &visit(1), &["7"], Some(&visit(2)), put(item("1", "7"))).await;
        ends(&client, &visit(3), &["1"], Some(&visit(2)), put(item("3", "1"))).await;
        ends(&client, days, &["8", "1", "1"], Some(&visit(2)), put(item("1", "8"))).await;
        ends(&client, &visit(3), &[], Some(&visit(2)), async {
            let key = json!({ "who": { "S": "ann" }, "day": { "N": "3" } });
            send(&url, "DeleteItem", &json!({ "TableName": name("visits"), "Key": key })).await;
        })
        .await;
        for n in 100..120 {
            client
                .batch_execute(&format!("UPDATE visits SET n = {n} WHERE who = 'ann' AND day = 1"))
                .await
                .expect("a write");
            assert_eq!(column(&client, &visit(1)).await, [n.to_string()]);
        }
        let (well, told) = check(&world).await;
        assert!(well, "{told}");
    }
}

/// Only this process writes there.
#[tokio::test]
async fn memory_needs_no_news() {
    let setup = Setup::default()
        .section(&rule(&["public.sessions"], "1s"))
        .table("public.sessions", Home::Memory);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE sessions (id int PRIMARY KEY, n int); INSERT INTO sessions VALUES (1, 1)",
        )
        .await
        .expect("a table");
    let read = "SELECT n FROM sessions WHERE id = 1";
    column(&client, read).await;
    until("a hit", async || is_hit(&client, read).await).await;
    assert_eq!(
        (shown(&client, "lag_ms").await, shown(&client, "retained_wal").await),
        ("0".into(), String::new())
    );
    client.batch_execute("UPDATE sessions SET n = 2").await.expect("a write");
    assert_eq!(column(&client, read).await, ["2"]);
    let (well, told) = check(&world).await;
    assert!(well, "{told}");
}

const COUNTERS: usize = 6;
const MAX_LAG: Duration = Duration::from_millis(900);

/// When a counter's writer has been told that a number is written.
type Writes = Mutex<Vec<(Instant, i64)>>;

/// Writers beside Flywheel, readers through it: no answer is older than the lag that is allowed.
async fn race(
    world: &World,
    client: &Client,
    write: impl AsyncFn(usize, i64),
    disturb: impl AsyncFn(usize),
) {
    let told: Arc<Vec<Writes>> = Arc::new((0..COUNTERS).map(|_| Mutex::default()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (client, told, stop) = (world.gateway().await, told.clone(), stop.clone());
        readers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let id = rand::rng().random_range(0..COUNTERS);
                let began = Instant::now();
                let sql = match rand::rng().random_range(0..3) {
                    0 => "SELECT max(n) FILTER (WHERE id = 0) FROM counters".to_owned(),
                    _ => format!("SELECT n FROM counters WHERE id = {id}"),
                };
                let id = if sql.contains("FILTER") { 0 } else { id };
                // While the store can't be reached there is no answer.
                let Ok(rows) = client.simple_query(&sql).await else { continue };
                let read = rows.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                let read: i64 = read.and_then(|text| text.parse().ok()).expect("a number");
                let told = told[id].lock().await;
                let known =
                    told.iter().rev().find(|(at, _)| *at + MAX_LAG <= began).map_or(0, |(_, n)| *n);
                assert!(
                    read >= known,
                    "counter {id} is {read}, {known} was written {MAX_LAG:?} before"
                );
            }
        }));
    }
    let writing = async {
        for n in 1.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let id = rand::rng().random_range(0..COUNTERS);
            write(id, n).await;
            told[id].lock().await.push((Instant::now(), n));
            tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..25))).await;
        }
    };
    let disturbing = async {
        for round in 0..6 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            disturb(round).await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(writing, disturbing);
    for reader in readers {
        reader.await.expect("no old answer");
    }
    let (hits, fills) = (count(client, "hits").await, count(client, "fills").await);
    let bypasses = shown(client, "bypasses").await;
    assert!(hits > 0 && fills > 0, "{hits} hits, {fills} fills, past it: {bypasses}");
    eprintln!("{hits} hits, {fills} fills, past it: {bypasses}");
}

const COUNTER_ROWS: &str = "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL); INSERT INTO counters SELECT i, 0 FROM generate_series(0, 5) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_from_redis_is_older_than_the_lag() {
    let server = Server::start(&[]).await;
    let network = Proxy::to(&format!("127.0.0.1:{}", server.port)).await;
    let setup = Setup::default()
        .section(&rule(&["public.counters"], "900ms"))
        .redis_at(&format!("redis://{}", network.address()))
        .table("public.counters", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client.batch_execute(COUNTER_ROWS).await.expect("a table");
    followed(&client).await;
    let head = format!("{{{}:public.counters:", unique(&world));
    let beside = Mutex::new(Beside::at(&format!("127.0.0.1:{}", server.port)).await);
    let write = async |id: usize, n: i64| {
        beside.lock().await.run(&format!("HSET {head}{id}}} n {n}")).await
    };
    let disturb = async |round: usize| match round {
        1 => {
            // Not the writer's while it waits for its answer.
            let mut beside = beside.lock().await;
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            *beside = Beside::at(&format!("127.0.0.1:{}", server.port)).await;
        }
        2 | 4 => {
            network.becomes(if round == 2 { Network::Forgetful } else { Network::Silent });
            tokio::time::sleep(Duration::from_secs(2)).await;
            network.becomes(Network::Up);
        }
        _ => {}
    };
    race(&world, &client, write, disturb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_from_dynamodb_is_older_than_the_lag() {
    let setup = Setup::default()
        .section(&rule(&["public.counters"], "900ms"))
        .table("public.counters", Home::DynamoDb);
    let Some(world) = setup.start().await else { return };
    let Some(url) = world.servers().dynamodb.first().cloned() else {
        return;
    };
    let client = world.gateway().await;
    client.batch_execute(COUNTER_ROWS).await.expect("a table");
    let table = format!("{}-public.counters", unique(&world));
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
    send(&url, "UpdateTable", &json!({ "TableName": table, "StreamSpecification": stream })).await;
    followed(&client).await;
    let write = async |id: usize, n: i64| {
        let item = json!({ "id": { "N": id.to_string() }, "n": { "N": n.to_string() } });
        send(&url, "PutItem", &json!({ "TableName": table, "Item": item })).await;
    };
    race(&world, &client, write, async |_| {}).await;
}
