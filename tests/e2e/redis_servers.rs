//! Redis servers that refuse, are full, or are a cluster.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use flywheel_tests::child::run;
use flywheel_tests::port::free_port;
use flywheel_tests::world::column;
use flywheel_tests::{Home, Setup, Told};
use tokio::process::{Child, Command};

/// A redis-server of a test's own, ended with it.
pub(super) struct Server {
    pub(super) port: u16,
    folder: PathBuf,
    _process: Child,
}

impl Server {
    pub(super) async fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let folder =
            std::env::temp_dir().join(format!("flywheel-e2e-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(&folder)
            .args(arguments)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server");
        let server = Self { port, folder, _process: process };
        while !server.cli(&["PING"]).await.contains("PONG") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    pub(super) async fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        run(command.args(["-p", &self.port.to_string()]).args(words)).await.stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_server_that_is_full_or_forbids_is_told_with_the_table() {
    let server = Server::start(&[]).await;
    let rights = "ACL SETUSER app on >secret ~{*:public.sessions* +@all";
    server.cli(&rights.split(' ').collect::<Vec<_>>()).await;
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port);
    let setup = Setup::default().redis_at(&url).table("public.sessions", Home::Redis);
    let Some(world) = setup.table("public.other", Home::Redis).start().await else {
        return;
    };
    let client = world.gateway().await;
    client
        .batch_execute("CREATE TABLE sessions (id int PRIMARY KEY, a text); CREATE TABLE other (id int PRIMARY KEY, a text)")
        .await
        .expect("tables");
    let insert = "INSERT INTO sessions VALUES (1, 'a')";
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    Told::of(&client, insert).await.is("53200", &["public.sessions", "full", "maxmemory"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
    client.batch_execute(insert).await.expect("INSERT");
    for sql in ["SELECT * FROM other WHERE id = 1", "INSERT INTO other VALUES (1, 'a')"] {
        Told::of(&client, sql)
            .await
            .is("42501", &["public.other", "stores.redis", ":public.other:", "ACL SETUSER"]);
    }
    server.cli(&["ACL", "SETUSER", "app", "-evalsha", "-eval"]).await;
    Told::of(&client, "DELETE FROM sessions").await.is("42501", &["evalsha"]);
    assert_eq!(column(&client, "SELECT a FROM sessions WHERE id = 1").await, ["a"]);
}

#[tokio::test]
async fn a_cluster() {
    let cluster = ["--cluster-enabled", "yes"];
    let servers = [
        Server::start(&cluster).await,
        Server::start(&cluster).await,
        Server::start(&cluster).await,
    ];
    let addresses = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port));
    let mut command = Command::new("redis-cli");
    run(command.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes")).await.well();
    for server in &servers {
        while !server.cli(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let table = |name: &str, keys: &str| {
        format!("[[tables]]\nname = {name:?}\nstore = \"wide\"\nallow_scan = true\n{keys}")
    };
    let setup = Setup::default()
        .section(&format!(
            "[stores.wide]\nkind = \"redis\"\ncluster = true\nurl = \"redis://{}\"\n",
            addresses[1..].join(",")
        ))
        .section(&table("public.words", ""))
        .section(&table("public.docs", "layout = \"json\""))
        .section(&table("public.visits", ""));
    let Some(world) = setup.start().await else { return };
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE words (word text PRIMARY KEY, n int); CREATE TABLE docs (word text PRIMARY KEY, n int);
             CREATE TABLE visits (who text, day int, PRIMARY KEY (who, day))",
        )
        .await
        .expect("tables");
    for name in ["words", "docs"] {
        for n in 0..20 {
            client
                .batch_execute(&format!("INSERT INTO {name} VALUES ('word {n}', {n})"))
                .await
                .expect("INSERT");
        }
        let keys = format!(
            "SELECT n FROM {name} WHERE word IN ('word 3', 'word 5', 'word 17', 'none') ORDER BY n"
        );
        assert_eq!(column(&client, &keys).await, ["3", "5", "17"]);
        assert_eq!(column(&client, &format!("SELECT sum(n) FROM {name}")).await, ["190"]);
        client
            .batch_execute(&format!("UPDATE {name} SET n = n + 1 WHERE word = 'word 3'"))
            .await
            .expect("UPDATE");
        // A statement over several slots is a transaction of its own, in two phases.
        let several = format!("UPDATE {name} SET n = n + 1 WHERE n < 3 RETURNING n");
        let mut updated = column(&client, &several).await;
        updated.sort();
        assert_eq!(updated, ["1", "2", "3"]);
        client
            .batch_execute(&format!("INSERT INTO {name} VALUES ('a', 1), ('b', 2), ('c', 3)"))
            .await
            .expect("INSERT");
        let taken = format!("INSERT INTO {name} VALUES ('d', 1), ('word 7', 2), ('e', 3)");
        Told::of(&client, &taken).await.is("23505", &[name]);
        let computed = format!(
            "INSERT INTO {name} SELECT word || '!', n FROM {name} WHERE n > 18 UNION ALL SELECT 'word 7', 0"
        );
        Told::of(&client, &computed).await.is("23505", &[name]);
        assert_eq!(column(&client, &format!("SELECT sum(n) FROM {name}")).await, ["200"]);
        client
            .batch_execute(&format!("DELETE FROM {name} WHERE word IN ('a', 'b', 'c')"))
            .await
            .expect("DELETE");
        client
            .batch_execute(&format!("ALTER TABLE {name} ADD COLUMN more int DEFAULT 7"))
            .await
            .expect("ALTER TABLE");
        assert_eq!(column(&client, &format!("SELECT sum(more) FROM {name}")).await, ["140"]);
        client
            .batch_execute(&format!("ALTER TABLE {name} DROP COLUMN more"))
            .await
            .expect("ALTER TABLE");
    }
    // Several that meet compute anew, as they do in one slot.
    let others = [world.gateway().await, world.gateway().await];
    let again = async |client: &tokio_postgres::Client| {
        for _ in 0..10 {
            client
                .batch_execute("UPDATE docs SET n = n + 1 WHERE word < 'word 2'")
                .await
                .expect("UPDATE");
        }
    };
    tokio::join!(again(&others[0]), again(&others[1]));
    let counted = "SELECT sum(n) - 194 = 20 * count(*) FILTER (WHERE word < 'word 2') FROM docs";
    assert_eq!(column(&client, counted).await, ["t"]);
    // Where not all of it is written or none, a statement is split.
    let copy = "\\copy words from stdin\na\t1\nb\t2\nc\t3\n\\.\n";
    flywheel_tests::child::psql(&world.url(), copy).await.well();
    assert_eq!(column(&client, "SELECT count(*) FROM words").await, ["23"]);
    client.batch_execute("TRUNCATE words").await.expect("TRUNCATE");
    assert_eq!(column(&client, "SELECT count(*) FROM words").await, ["0"]);
    // One partition is one slot.
    client
        .batch_execute("BEGIN; INSERT INTO visits VALUES ('ann', 1), ('ann', 2); DELETE FROM visits WHERE who = 'ann' AND day = 1; COMMIT")
        .await
        .expect("a block");
    assert_eq!(column(&client, "SELECT day FROM visits WHERE who = 'ann'").await, ["2"]);
    // A block over several is committed in two phases.
    client
        .batch_execute("BEGIN; INSERT INTO visits VALUES ('ann', 3), ('bob', 1); COMMIT")
        .await
        .expect("a block");
    assert_eq!(column(&client, "SELECT count(*) FROM visits").await, ["3"]);
    client
        .batch_execute("BEGIN; DELETE FROM visits WHERE who = 'bob'; INSERT INTO visits VALUES ('cy', 1), ('ann', 4)")
        .await
        .expect("a block");
    let late = "SET lock_timeout = '20ms'; INSERT INTO visits VALUES ('cy', 1)";
    Told::of(&world.gateway().await, late).await.is("55P03", &[]);
    client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    assert_eq!(
        column(&client, "SELECT count(*) FROM visits WHERE who = 'bob' OR day = 4").await,
        ["1"]
    );
    client.batch_execute("DELETE FROM visits WHERE who = 'bob'").await.expect("a free row");
}
