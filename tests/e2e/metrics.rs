//! What the gateway tells Prometheus.

use std::time::Duration;

use flywheel_tests::scrape::{Scrape, address, answer, exchange, get};
use flywheel_tests::world::{Told, column, connect, try_connect};
use flywheel_tests::{Home, Setup, World};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::SimpleQueryMessage;

fn setup() -> Setup {
    Setup::default().section("[metrics]\nlisten = \"127.0.0.1:0\"")
}

/// Waits until the figures are so.
async fn until(world: &World, what: &str, holds: impl Fn(&Scrape) -> bool) {
    for _ in 0..600 {
        if holds(&Scrape::of(world).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in a minute: {what}");
}

/// What is done, in which texts, and how many statements that is of each way.
type Step<'s> = (&'s str, &'s [&'s str], &'s [(&'s str, u32)]);

#[tokio::test]
async fn statements_are_counted_by_their_ways() {
    let rule = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1h\"";
    let Some(world) = setup().table("kv", Home::Memory).section(rule).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE words (word text PRIMARY KEY); CREATE TABLE numbers (n int); CREATE TABLE kv (k int PRIMARY KEY, v text)",
        )
        .await
        .expect("tables");
    // Reads share connections as soon as what the definitions mean is known.
    flywheel_tests::world::until("a shared read", async || {
        let before = Scrape::of(&world).await;
        column(&client, "SELECT n FROM numbers").await;
        let grown = Scrape::of(&world).await.grown(&before, "flywheel_statements_total");
        grown.iter().any(|(labels, _)| labels.contains("shared"))
    })
    .await;
    let steps: &[Step<'_>] = &[
        ("single reads", &["SELECT n FROM numbers"; 3], &[("shared", 3)]),
        ("a write", &["INSERT INTO numbers VALUES (1)"], &[("relayed", 1)]),
        (
            "several in a text",
            &["SELECT 1; INSERT INTO numbers VALUES (2); SELECT 2"],
            &[("relayed", 3)],
        ),
        ("a block", &["BEGIN", "SELECT n FROM numbers", "COMMIT"], &[("relayed", 3)]),
        ("a hit behind a miss", &["SELECT word FROM words"; 3], &[("cached", 2), ("shared", 1)]),
        (
            "a row",
            &["INSERT INTO kv VALUES (1, 'one')", "SELECT v FROM kv WHERE k = 1"],
            &[("native", 2)],
        ),
        ("a join", &["SELECT v FROM kv JOIN numbers ON n = k"], &[("mixed", 1)]),
        ("an expression", &["UPDATE kv SET v = upper(v) WHERE k = 1"], &[("staged", 1)]),
        ("definitions", &["TRUNCATE kv", "SHOW CACHE"], &[("command", 2)]),
    ];
    for (what, texts, expected) in steps {
        let before = Scrape::of(&world).await;
        for text in *texts {
            client.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        let grown = Scrape::of(&world).await.grown(&before, "flywheel_statements_total");
        let expected: Vec<_> = expected
            .iter()
            .map(|(way, count)| (format!("{{database=\"app\",way=\"{way}\"}}"), f64::from(*count)))
            .collect();
        assert_eq!(grown, expected, "{what}");
    }
    // One that fails has been carried out as far as it could; the extended protocol counts what is
    // executed.
    let before = Scrape::of(&world).await;
    client.simple_query("INSERT INTO numbers VALUES (1/0)").await.expect_err("a division by zero");
    let insert = client.prepare("INSERT INTO numbers VALUES ($1)").await.expect("a statement");
    client.execute(&insert, &[&3]).await.expect("a row");
    let row = client.prepare("SELECT v FROM kv WHERE k = $1").await.expect("a statement");
    client.query(&row, &[&1]).await.expect("no row");
    let grown = Scrape::of(&world).await.grown(&before, "flywheel_statements_total");
    let expected = [("native", 1.0), ("relayed", 2.0)]
        .map(|(way, count)| (format!("{{database=\"app\",way=\"{way}\"}}"), count));
    assert_eq!(grown, expected);
}

#[tokio::test]
async fn a_rule_has_the_figures_of_show_cache() {
    let rules = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1h\"\n[[cache]]\nwhen = { hint = true }\nttl = \"1h\"";
    let Some(world) = setup().limit("cache_memory = \"8MB\"").section(rules).start().await else {
        return;
    };
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE words (word text)").await.expect("a table");
    for text in [
        "SELECT word FROM words",
        "SELECT word FROM words",
        "SELECT count(*) FROM words",
        "/* flywheel: nocache */ SELECT word FROM words",
        "BEGIN",
        "SELECT word FROM words",
        "COMMIT",
    ] {
        client.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let scrape = Scrape::of(&world).await;
    for (name, value) in [
        ("hits_total", 1.0),
        ("misses_total", 2.0),
        ("fills_total", 2.0),
        ("waits_total", 0.0),
        ("stale_total", 0.0),
        ("entries", 2.0),
    ] {
        assert_eq!(scrape.value(&format!("flywheel_cache_{name}{{rule=\"1\"}}")), value, "{name}");
        assert_eq!(scrape.value(&format!("flywheel_cache_{name}{{rule=\"2\"}}")), 0.0, "{name}");
    }
    for (reason, count) in [("transaction", 1.0), ("hint", 1.0), ("pinned", 0.0), ("lag", 0.0)] {
        let series = format!("flywheel_cache_bypasses_total{{rule=\"1\",reason=\"{reason}\"}}");
        assert_eq!(scrape.value(&series), count, "{reason}");
    }
    assert_eq!(scrape.value("flywheel_cache_max_bytes"), f64::from(8 << 20));
    // No rule needs it.
    assert_eq!(scrape.find("flywheel_cache_replication_followed"), None);
    let shown = client.simple_query("SHOW CACHE").await.expect("SHOW CACHE");
    let rows = shown.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let mut seen = 0;
    for row in rows {
        let rule = row.get("rule").expect("a number");
        for column in ["hits", "misses", "fills", "waits", "stale", "entries", "bytes"] {
            let suffix = if matches!(column, "entries" | "bytes") { "" } else { "_total" };
            let value =
                scrape.value(&format!("flywheel_cache_{column}{suffix}{{rule=\"{rule}\"}}"));
            assert_eq!(row.get(column), Some(value.to_string().as_str()), "{column} of {rule}");
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
}

#[tokio::test]
async fn replication_is_followed_or_not() {
    let rule = "[[cache]]\nwhen = { tables = [\"words\"] }\nttl = \"1h\"\ninvalidate = \"replication\"\nmax_lag = \"2s\"";
    let Some(world) = setup().section(rule).start().await else { return };
    let scrape = Scrape::of(&world).await;
    // There is no such table yet.
    assert_eq!(scrape.value("flywheel_cache_replication_followed"), 0.0);
    assert_eq!(scrape.find("flywheel_cache_replication_lag_seconds"), None);
    assert!(scrape.value("flywheel_cache_rule_problems{rule=\"1\"}") >= 1.0);
    assert_eq!(scrape.find("flywheel_cache_rule_lag_seconds{rule=\"1\"}"), None);
    let behind = world.behind().await;
    behind.batch_execute("CREATE TABLE words (word text PRIMARY KEY)").await.expect("a table");
    until(&world, "followed", |scrape| {
        scrape.value("flywheel_cache_replication_followed") == 1.0
            && scrape.find("flywheel_cache_replication_lag_seconds").is_some()
            && scrape.value("flywheel_cache_replication_retained_wal_bytes") > 0.0
            && scrape.find("flywheel_cache_rule_lag_seconds{rule=\"1\"}").is_some()
            && scrape.value("flywheel_cache_rule_problems{rule=\"1\"}") == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_pool_shows_who_has_its_connections_and_who_waits() {
    let Some(world) = setup()
        .main("pool_size = 1\nshared_connections = 0\nacquire_timeout = \"1s\"")
        .start()
        .await
    else {
        return;
    };
    let of = |name: &str, more: &str| {
        format!(
            "flywheel_{name}{{database=\"app\",role=\"postgres\",user=\"\",server=\"primary\"{more}}}"
        )
    };
    let (one, other) = (world.gateway().await, world.gateway().await);
    one.batch_execute("BEGIN; SELECT 1").await.expect("a block");
    let before = Scrape::of(&world).await;
    assert_eq!(before.value(&of("pool_connections", ",state=\"in_use\"")), 1.0);
    assert_eq!(before.value(&of("pool_connections", ",state=\"idle\"")), 0.0);
    assert_eq!(before.value(&of("pool_max_connections", "")), 1.0);
    assert_eq!(before.value(&of("pool_waiting", "")), 0.0);
    assert_eq!(before.value("flywheel_clients"), 2.0);
    assert_eq!(before.value("flywheel_sessions_in_transaction{database=\"app\"}"), 1.0);
    assert_eq!(before.value("flywheel_max_clients"), 1000.0);
    let waiting = tokio::spawn(async move {
        let error =
            other.batch_execute("INSERT INTO nowhere VALUES (1)").await.expect_err("a timeout");
        (other, error)
    });
    until(&world, "a client waits", |scrape| scrape.value(&of("pool_waiting", "")) == 1.0).await;
    let (other, error) = waiting.await.expect("a client");
    assert_eq!(error.code().map(|code| code.code()), Some("53300"), "{error:?}");
    let after = Scrape::of(&world).await;
    for name in ["pool_waits_total", "pool_timeouts_total"] {
        assert_eq!(after.value(&of(name, "")) - before.value(&of(name, "")), 1.0, "{name}");
    }
    assert_eq!(after.value(&of("pool_waiting", "")), 0.0);
    assert_eq!(after.value(&of("pool_logins_total", "")), 1.0);
    one.batch_execute("SELECT 1/0").await.expect_err("a failed block");
    let failed = Scrape::of(&world).await;
    assert_eq!(failed.value("flywheel_sessions_in_transaction{database=\"app\"}"), 1.0);
    one.batch_execute("COMMIT").await.expect("its end");
    let ended = Scrape::of(&world).await;
    assert_eq!(ended.value("flywheel_sessions_in_transaction{database=\"app\"}"), 0.0);
    one.batch_execute("BEGIN").await.expect("another");
    drop((one, other));
    until(&world, "the connection is idle, the clients have gone", |scrape| {
        scrape.value(&of("pool_connections", ",state=\"idle\"")) == 1.0
            && scrape.value("flywheel_clients") == 0.0
            && scrape.value("flywheel_sessions_in_transaction{database=\"app\"}") == 0.0
    })
    .await;
}

#[tokio::test]
async fn logins_that_fail_are_counted_on_both_sides() {
    let Some(world) = setup()
        .key("max_connections = 2")
        .user("good", "secret")
        .section("[[users]]\nname = \"lost\"\npassword = \"secret\"\nserver_user = \"nobody_here\"")
        .start()
        .await
    else {
        return;
    };
    let before = Scrape::of(&world).await;
    let good = connect(&world.url_of("good:secret")).await;
    try_connect(&world.url_of("good:wrong")).await.expect_err("another password");
    // Its role isn't there: the client is let in, and told by the server.
    let lost = Told::by(try_connect(&world.url_of("lost:secret")).await.map(drop));
    assert!(lost.message.contains("role \"nobody_here\" does not exist"), "{lost:?}");
    until(&world, "it has gone", |scrape| scrape.value("flywheel_clients") == 1.0).await;
    let second = connect(&world.url_of("good:secret")).await;
    try_connect(&world.url_of("good:secret")).await.expect_err("too many clients");
    let after = Scrape::of(&world).await;
    for (name, growth) in [
        ("flywheel_client_logins_refused_total", 1.0),
        ("flywheel_clients_turned_away_total", 1.0),
        ("flywheel_client_sessions_total", 3.0),
    ] {
        assert_eq!(after.value(name) - before.value(name), growth, "{name}");
    }
    let of_lost = "flywheel_pool_login_failures_total{database=\"app\",role=\"nobody_here\",user=\"lost\",server=\"primary\"}";
    assert!(after.value(of_lost) >= 1.0);
    drop((good, second));
}

#[tokio::test]
async fn stores_are_measured() {
    let Some(world) = setup()
        .table("kv", Home::Memory)
        .table("gone", Home::Redis)
        .redis_at("redis://127.0.0.1:1")
        .start()
        .await
    else {
        return;
    };
    let client = world.gateway().await;
    client.batch_execute("CREATE TABLE kv (k int PRIMARY KEY, v text)").await.expect("a table");
    world
        .behind()
        .await
        .batch_execute("CREATE TABLE gone (k int PRIMARY KEY)")
        .await
        .expect("a table");
    let before = Scrape::of(&world).await;
    for text in [
        "INSERT INTO kv VALUES (1, 'one')",
        "INSERT INTO kv VALUES (2, 'two')",
        "SELECT v FROM kv WHERE k = 1",
        "SELECT count(*) FROM kv",
    ] {
        client.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let after = Scrape::of(&world).await;
    let counts = after.grown(&before, "flywheel_store_operation_duration_seconds_count");
    let expected = [("get", 1.0), ("scan", 1.0), ("write", 2.0)];
    let expected = expected.map(|(operation, count)| {
        (format!("{{store=\"memory\",operation=\"{operation}\"}}"), count)
    });
    assert_eq!(counts, expected);
    assert_eq!(after.grown(&before, "flywheel_store_operation_errors_total"), []);
    // One that can't be reached.
    client.simple_query("SELECT * FROM gone WHERE k = 1").await.expect_err("no Redis");
    let errors = Scrape::of(&world).await.grown(&after, "flywheel_store_operation_errors_total");
    let expected = "{store=\"redis\",operation=\"get\",error=\"unavailable\"}".to_owned();
    assert_eq!(errors, [(expected, 1.0)]);
}

#[tokio::test]
async fn committed_transactions_that_a_store_does_not_take() {
    let Some(world) =
        setup().table("stock", Home::Redis).redis_at("redis://127.0.0.1:1").start().await
    else {
        return;
    };
    let behind = world.behind().await;
    // As a gateway leaves it that is no more. The one that runs may make the schema at this moment.
    let outbox = "CREATE TABLE stock (id int PRIMARY KEY, what text);
        SELECT pg_advisory_xact_lock(hashtext('flywheel.outbox')); CREATE SCHEMA IF NOT EXISTS flywheel;
        CREATE TABLE flywheel.outbox (id uuid PRIMARY KEY, xid bigint NOT NULL DEFAULT txid_current(),
            written_at timestamptz NOT NULL DEFAULT clock_timestamp(), changes jsonb NOT NULL);
        INSERT INTO flywheel.outbox (id, changes) VALUES ('00000000-0000-0000-0000-000000000001',
            '[{\"store\": \"redis\", \"schema\": \"public\", \"table\": \"stock\", \"key\": [\"1\"], \"new\": true, \"row\": {\"id\": \"1\", \"what\": \"new\"}}]')";
    behind.batch_execute(outbox).await.expect("a record");
    let left = |scrape: &Scrape| scrape.value("flywheel_unfinished_transactions");
    until(&world, "it is tried in vain", |scrape| left(scrape) == 1.0).await;
    behind.batch_execute("DELETE FROM flywheel.outbox").await.expect("it is given up");
    until(&world, "nothing is left", |scrape| left(scrape) == 0.0).await;
}

#[tokio::test]
async fn replicas_are_told_of() {
    let Some(world) = setup().start().await else { return };
    let url = world.primary().url();
    let replicas = format!(
        "replicas = [\"{url}?target_session_attrs=any\", \"postgres://postgres@127.0.0.1:1/nowhere\"]"
    );
    let host = world.primary().address();
    let world =
        setup().primary_at(url).main(&replicas).main("check_interval = \"50ms\"").start().await;
    let world = world.expect("servers");
    let usable = |number: u32, host: &str| {
        format!("flywheel_replica_usable{{server=\"replica{number}\",host=\"{host}\"}}")
    };
    until(&world, "a primary and a replica", |scrape| {
        scrape.value("flywheel_primary_known") == 1.0 && scrape.value(&usable(1, host)) == 1.0
    })
    .await;
    let scrape = Scrape::of(&world).await;
    assert_eq!(scrape.value(&format!("flywheel_primary_info{{host=\"{host}\"}}")), 1.0);
    assert_eq!(scrape.value(&usable(2, "127.0.0.1:1")), 0.0);
    assert_eq!(scrape.named("flywheel_replica_ejections_total").count(), 2);
}

#[tokio::test]
async fn both_formats_are_as_prometheus_reads_them() {
    let rule = "[[cache]]\nwhen = { pattern = \"strange\" }\nttl = \"1h\"";
    let Some(world) = setup()
        .table("kv", Home::Memory)
        .section(rule)
        .section("[[databases]]\nname = \"a \\\"quoted\\\" \\\\ one\"\ndbname = \"postgres\"")
        .start()
        .await
    else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE kv (k int PRIMARY KEY); INSERT INTO kv VALUES (1); SELECT * FROM kv; SELECT 1")
        .await
        .expect("statements");
    let address = address(&world);
    let open = get(&address, "/metrics").await;
    let content_type =
        |response: &flywheel_tests::scrape::Response| response.headers["content-type"].clone();
    assert_eq!(content_type(&open), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = Scrape::open_metrics(&open.body);
    let asked = |accept: &str| {
        format!("GET /metrics HTTP/1.1\r\nHost: flywheel\r\nAccept: {accept}\r\n\r\n")
    };
    let plain = exchange(&address, &asked("text/plain;version=0.0.4")).await;
    assert_eq!(content_type(&plain), "text/plain; version=0.0.4; charset=utf-8");
    let plain = Scrape::plain(&plain.body);
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    let prometheus = exchange(&address, &asked(prometheus)).await;
    assert_eq!(
        content_type(&prometheus),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for scrape in [&open, &plain] {
        let quoted =
            "flywheel_statements_total{database=\"a \\\"quoted\\\" \\\\ one\",way=\"shared\"}";
        assert_eq!(scrape.value(quoted), 0.0);
        assert_eq!(
            scrape.value("flywheel_statements_total{database=\"app\",way=\"command\"}"),
            1.0
        );
        assert_eq!(scrape.value("flywheel_build_info{version=\"0.1.0\"}"), 1.0);
        let size = scrape.value("process_resident_memory_bytes");
        assert!((1e6..1e10).contains(&size), "{size}");
        let started = scrape.value("process_start_time_seconds");
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("now")
            .as_secs_f64();
        assert!((now - 600.0..=now).contains(&started), "{started}");
        assert!(scrape.value("process_cpu_seconds_total") < 600.0);
        assert!(scrape.value("process_open_fds") < scrape.value("process_max_fds"));
    }
}

#[tokio::test]
async fn nothing_else_is_served() {
    let Some(world) = setup().start().await else { return };
    let address = address(&world);
    let status = async |request: &str| {
        exchange(&address, &format!("{request} HTTP/1.1\r\nHost: flywheel\r\n\r\n")).await.status
    };
    for (request, expected) in [
        ("GET /metrics", 200),
        ("GET /metrics?collect[]=x", 200),
        ("HEAD /metrics", 200),
        ("GET /healthz", 200),
        ("GET /readyz", 200),
        ("GET /", 404),
        ("GET /metrics/", 404),
        ("POST /", 404),
        ("POST /metrics", 405),
        ("DELETE /healthz", 405),
        ("NONSENSE", 400),
    ] {
        assert_eq!(status(request).await, expected, "{request}");
    }
    let refused = exchange(
        &address,
        "PUT /metrics HTTP/1.1\r\nHost: flywheel\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD"));
    assert_eq!(exchange(&address, "HEAD /metrics HTTP/1.0\r\n\r\n").await.body, "");
    // A head without an end is cut off, not collected.
    let long =
        format!("GET /metrics HTTP/1.1\r\nHost: flywheel\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(exchange(&address, &long).await.status, 431);
    // Those who say nothing are sent away, and others are served meanwhile.
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(&address).await.expect("a connection"));
    }
    let mut slow = TcpStream::connect(&address).await.expect("a connection");
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.expect("half a request");
    assert_eq!(status("GET /healthz").await, 200);
    slow.write_all(b" flywheel\r\n\r\n").await.expect("the other half");
    assert_eq!(answer(&mut slow).await.status, 200);
    let mut byte = [0];
    for stream in &mut silent {
        let closed = tokio::time::timeout(
            Duration::from_secs(60),
            tokio::io::AsyncReadExt::read(stream, &mut byte),
        )
        .await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_stops_is_not_healthy() {
    let Some(mut world) = setup().start().await else { return };
    let address = address(&world);
    assert_eq!(get(&address, "/healthz").await.status, 200);
    let client = world.gateway().await;
    client.batch_execute("BEGIN").await.expect("a block");
    let id = world.process().id().to_string();
    let asked = std::process::Command::new("kill").arg(&id).status();
    assert!(asked.is_ok_and(|status| status.success()));
    let mut status = 200;
    for _ in 0..600 {
        status = get(&address, "/healthz").await.status;
        if status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, 503);
    // What it does is told until it has gone.
    assert_eq!(Scrape::of(&world).await.value("flywheel_clients"), 1.0);
    client.batch_execute("COMMIT").await.expect("the block's end");
    for _ in 0..600 {
        if !world.process_mut().is_running() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it hasn't ended");
}

#[tokio::test]
async fn without_the_section_nothing_listens() {
    let Some(world) = World::start().await else { return };
    assert!(!world.process().log().iter().any(|line| line.contains("metrics")));
}
