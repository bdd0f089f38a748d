//! A cluster of three primaries, each with a replica.

mod gateways;
mod server;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flywheel_redis::{Certificates, RedisOptions, RedisStore, Topology};
use flywheel_store::conformance::fixture::*;
use flywheel_store::conformance::{Notes, Suite};
use flywheel_store::{
    Applied, Change, Changed, Effect, Exchange, Expect, Feed, Layout, Store, StoreError,
    StoreTable, VersionName, Writes,
};
use gateways::{Gateway, exchange};
use server::{Folder, Server, until};

struct Cluster {
    servers: Vec<Server>,
    _folder: Folder,
}

impl Cluster {
    async fn start() -> Option<Self> {
        let folder = Folder::new("cluster");
        let mut servers = Vec::new();
        for number in 0..6 {
            let file = format!("nodes-{number}.conf");
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "500",
                "--cluster-config-file",
                &file,
                "--cluster-replica-validity-factor",
                "0",
                "--repl-diskless-sync-delay",
                "0",
                "--dir",
                &folder.path(""),
            ];
            servers.push(Server::start_with(&arguments).await?);
        }
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("redis-cli").success(), "a cluster");
        let cluster = Self { servers, _folder: folder };
        for server in &cluster.servers {
            until("the cluster is made", async || {
                let info = cluster.ask(server, &["CLUSTER", "INFO"]).await;
                let nodes = cluster.ask(server, &["CLUSTER", "NODES"]).await;
                info.contains("cluster_state:ok")
                    && nodes.matches("slave ").count() == 3
                    && nodes.matches("handshake").count() == 0
            })
            .await;
        }
        Some(cluster)
    }

    fn options(&self, timeout: Duration) -> RedisOptions {
        RedisOptions {
            // The last two are replicas, and one isn't there.
            topology: Topology::Cluster(vec![
                format!("redis://127.0.0.1:{}", server::free_port()),
                self.servers[5].url(),
                self.servers[4].url(),
            ]),
            certificates: Certificates::default(),
            key_prefix: "c:".into(),
            timeout,
        }
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(&self.options(Duration::from_secs(2))).expect("options")
    }

    async fn ask(&self, server: &Server, words: &[&str]) -> String {
        let mut connection = server::plain(&server.url()).await;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut connection).await.expect(words[0])
    }

    /// The server that has the slot of a key.
    async fn owner(&self, key: &str) -> (usize, String) {
        for (place, server) in self.servers.iter().enumerate() {
            let mut connection = server::plain(&server.url()).await;
            let role: Vec<redis::Value> =
                redis::cmd("ROLE").query_async(&mut connection).await.expect("role");
            let exists: redis::RedisResult<i64> =
                redis::cmd("EXISTS").arg(key).query_async(&mut connection).await;
            if role[0] == redis::Value::BulkString(b"master".to_vec()) && exists.is_ok() {
                return (place, self.ask(server, &["CLUSTER", "MYID"]).await);
            }
        }
        panic!("nobody has {key}");
    }
}

fn words() -> StoreTable {
    table("public.words", &[("word", text_type()), ("n", int8_type())], &["word"])
}

fn put(word: &str, n: i64, expect: Expect) -> Change {
    Change { key: key(&[text(word)]), expect, effect: Effect::Put(vec![text(word), int(n)]) }
}

async fn n(store: &RedisStore, word: &str) -> Option<i64> {
    let rows = store.get(&words(), &[key(&[text(word)])]).await.expect("get");
    rows[0].as_ref().map(|row| if let flywheel_types::Value::Int(n) = row[1] { n } else { 0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(cluster) = Cluster::start().await else { return };
    let suite = Suite::new(Arc::new(cluster.store()), "cluster").with_partitions_apart();
    suite.check().await;
    suite.check_sorted_sets().await;
    let suite = Suite::new(Arc::new(cluster.store()), "cluster_json").with_partitions_apart();
    suite.in_layout(Layout::Json).check().await;

    // What isn't one slot isn't written at all.
    let store = cluster.store();
    let table = words();
    let several: Vec<_> = ["a", "b", "c"].map(|word| (&table, put(word, 1, Expect::Absent))).into();
    let error = store.write_all(&several).await.expect_err("three slots");
    assert!(
        matches!(&error, StoreError::Unsupported { what } if what.contains("{c:public.words:a}") && what.contains("two slots")),
        "{error}"
    );
    assert_eq!(n(&store, "a").await, None);
    // The rows of one partition are.
    let visits = self::table(
        "public.visits",
        &[("who", text_type()), ("day", int8_type())],
        &["who", "day"],
    );
    let change = |day: i64| Change {
        key: key(&[text("ann"), int(day)]),
        expect: Expect::Absent,
        effect: Effect::Put(vec![text("ann"), int(day)]),
    };
    assert_eq!(store.write_all(&[(&visits, change(1)), (&visits, change(2))]).await, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_meet_in_it() {
    let Some(cluster) = Cluster::start().await else { return };
    let start = async || {
        Gateway::on(exchange(cluster.options(Duration::from_secs(2)).topology, "meeting", 600))
            .await
    };
    let (one, other) = (start().await, start().await);
    one.knows().await;
    other.notebook.until("missed").await;
    let row = [VersionName { group: "t".into(), field: "1".into() }];
    // Answers are all over the cluster.
    for key in ["a", "b", "c", "d"] {
        one.exchange.keep(key, key.as_bytes(), Duration::from_secs(60)).await.expect("kept");
        let kept = other.look(key, &row).await.kept.expect("an answer");
        assert_eq!(kept.0, key.as_bytes());
    }
    let before = other.look("a", &row).await.versions;
    one.post_with("hello", &row);
    other.notebook.until("hello").await;
    assert_ne!(other.look("a", &row).await.versions, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed() {
    let Some(cluster) = Cluster::start().await else { return };
    let store = cluster.store();
    let table = words();
    store.write(&table, &put("here", 1, Expect::Any)).await.expect("write");
    let name = "{c:public.words:here}";
    let (from, from_id) = cluster.owner(name).await;
    let (to, to_id) = {
        let mut others = (0..6).filter(|&place| place != from);
        let is_primary = async |place: usize| {
            cluster
                .ask(&cluster.servers[place], &["INFO", "replication"])
                .await
                .contains("role:master")
        };
        loop {
            let place = others.next().expect("another primary");
            if is_primary(place).await {
                break (place, cluster.ask(&cluster.servers[place], &["CLUSTER", "MYID"]).await);
            }
        }
    };
    let mut connection = server::plain(&cluster.servers[from].url()).await;
    let slot: i64 = redis::cmd("CLUSTER")
        .arg("KEYSLOT")
        .arg(name)
        .query_async(&mut connection)
        .await
        .expect("keyslot");
    let slot = slot.to_string();
    let (source, target) = (&cluster.servers[from], &cluster.servers[to]);
    let (notes, told) =
        (Arc::new(Notes::default()), [key(&[text("here")])].map(|key| (0, Changed::Row(key))));
    let following = tokio::spawn({
        let (notes, store) = (notes.clone(), store.clone());
        async move { store.follow(&[&words()], Duration::from_millis(20), &*notes).await }
    });
    notes.changes().await;
    cluster.ask(target, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    cluster.ask(source, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;

    // Still there, then moved alone (ASK), then with its slot (MOVED).
    assert_eq!(n(&store, "here").await, Some(1));
    let port = target.port.to_string();
    cluster.ask(source, &["MIGRATE", "127.0.0.1", &port, name, "0", "1000"]).await;
    assert_eq!(n(&store, "here").await, Some(1));
    assert_eq!(notes.changes().await, told);
    let keys = [key(&[text("here")]), key(&[text("there")])];
    let rows = store.get(&table, &keys).await.expect("get of several");
    assert_eq!(rows[0], Some(vec![text("here"), int(1)]));
    // A write names several keys, which a slot on its way answers only when it has arrived: it
    // waits.
    let change = put("here", 2, Expect::Unchanged(vec![text("here"), int(1)]));
    let write = store.write(&table, &change);
    let arrive = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for server in [target, source] {
            cluster.ask(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
        }
    };
    let (answer, ()) = tokio::join!(write, arrive);
    assert!(matches!(answer, Ok(Applied::Done(_))), "{answer:?}");
    assert_eq!(n(&store, "here").await, Some(2));
    notes.changes().await;
    store.write(&table, &put("here", 3, Expect::Present)).await.expect("write");
    assert_eq!(notes.changes().await, told);
    following.abort();
    assert_eq!(store.scan(&table, 10).await.expect("scan"), [vec![text("here"), int(3)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_on_all_nodes_are_told() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let store = cluster.store();
    let table = words();
    let follow =
        async |notes: &Notes| store.follow(&[&table], Duration::from_millis(20), notes).await;
    store.check_follow(&[&table]).await.expect("it can be followed");
    let notes = Notes::default();
    tokio::select! {
        ended = follow(&notes) => panic!("{ended:?}"),
        () = async {
            notes.changes().await;
            for word in ["a", "b", "c", "d", "e", "f"] {
                let (owner, _) = cluster.owner(&format!("{{c:public.words:{word}}}")).await;
                cluster.ask(&cluster.servers[owner], &["SET", &format!("{{c:public.words:{word}}}"), "1"]).await;
                assert_eq!(notes.changes().await, [(0, Changed::Row(key(&[text(word)])))]);
            }
        } => {}
    }

    // A primary that has no slots yet may get some.
    let folder = Folder::new("another");
    let arguments = ["--cluster-enabled", "yes", "--dir", &folder.path("")];
    let new = Server::start_with(&arguments).await.expect("another server");
    let (ended, ()) = tokio::join!(follow(&notes), async {
        notes.all_told().await;
        cluster
            .ask(&new, &["CLUSTER", "MEET", "127.0.0.1", &cluster.servers[0].port.to_string()])
            .await;
    });
    let error = ended.expect_err("another primary");
    assert!(error.to_string().contains("another primary"), "{error}");
    tokio::select! {
        ended = follow(&notes) => panic!("{ended:?}"),
        () = notes.all_told() => {}
    }

    // A replica that takes over may lack what was told.
    let missed = notes.missed();
    let (ended, ()) = tokio::join!(follow(&notes), async {
        notes.all_told().await;
        let (owner, _) = cluster.owner("{c:public.words:a}").await;
        cluster.servers[owner].kill();
    });
    ended.expect_err("a node is gone");
    until("it is followed again", async || {
        tokio::select! {
            _ = follow(&notes) => false,
            () = notes.all_told() => true,
        }
    })
    .await;
    assert!(notes.missed() > missed + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let store = cluster.store();
    let table = words();
    store.write(&table, &put("w", 0, Expect::Absent)).await.expect("write");
    let (owner, _) = cluster.owner("{c:public.words:w}").await;
    until("its replica has the row", async || {
        let mut holders = 0;
        for server in &cluster.servers {
            holders += usize::from(cluster.ask(server, &["DBSIZE"]).await != "0");
        }
        holders == 2
    })
    .await;

    let (mut done, mut unknown) = (0, 0);
    let mut after = 0;
    for round in 0.. {
        assert!(round < 2_000, "a replica takes over");
        if round == 20 {
            cluster.servers[owner].kill();
        }
        let rows = store.get(&table, &[key(&[text("w")])]).await;
        let row = match rows {
            Ok(mut rows) => rows.remove(0).expect("the row"),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                continue;
            }
        };
        let flywheel_types::Value::Int(n) = row[1] else { panic!("{row:?}") };
        match store.write(&table, &put("w", n + 1, Expect::Unchanged(row))).await {
            Ok(applied) => {
                assert_ne!(applied, Applied::Refused, "nobody else writes");
                done += 1;
                after += i32::from(round > 20);
            }
            Err(StoreError::Unknown { .. }) => unknown += 1,
            Err(error) => assert!(matches!(error, StoreError::Unavailable { .. }), "{error}"),
        }
        if after == 20 {
            break;
        }
    }
    let n = n(&store, "w").await.expect("the row");
    assert!(n <= done + unknown, "{n} of {done} and {unknown}: none is done twice");
    assert!(n >= 20, "{n}");
}
