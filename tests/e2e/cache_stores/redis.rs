//! What others write to Redis.

use flywheel_tests::cache::{count, shown};
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{column, until};
use flywheel_tests::{Home, Setup, World};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{check, ends, is_hit, rule, unique};
use crate::cache_replication::{followed, past};
use crate::redis_servers::Server;

/// A connection to Redis beside Flywheel.
pub(super) struct Beside(BufReader<TcpStream>);

impl Beside {
    async fn of(world: &World) -> Self {
        Self::at(world.servers().redis.as_deref().expect("a Redis").trim_start_matches("redis://"))
            .await
    }

    pub(super) async fn at(address: &str) -> Self {
        let stream = TcpStream::connect(address.trim_end_matches('/')).await.expect("a connection");
        Self(BufReader::new(stream))
    }

    pub(super) async fn run(&mut self, command: &str) {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await.expect("a command");
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("an answer");
        assert!(line.starts_with(['+', ':']), "{command}: {line}");
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
