//! The embedded PostgreSQL as a client finds it.

use std::time::{Duration, Instant};

use flywheel_embedded::{EmbeddedPostgres, dataset};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// A connection whose socket can be closed without a word.
struct Connected {
    client: Client,
    socket: JoinHandle<()>,
}

impl Connected {
    async fn to(server: &EmbeddedPostgres) -> Self {
        let started = Instant::now();
        let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
        let socket = tokio::spawn(async move { connection.await.unwrap() });
        println!("connected in {:?}", started.elapsed());
        Self { client, socket }
    }

    async fn count(&self, table: &str) -> i64 {
        self.client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
    }

    async fn close(self) {
        drop(self.client);
        self.socket.await.unwrap();
    }

    /// Closes the socket without Terminate; with an answer still unread in it, that is a reset.
    async fn vanish(self) {
        self.socket.abort();
        assert!(self.socket.await.unwrap_err().is_cancelled());
    }
}

fn start(data: Option<&std::path::Path>) -> EmbeddedPostgres {
    let started = Instant::now();
    let server = EmbeddedPostgres::start(data).unwrap();
    println!("started in {:?}", started.elapsed());
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_its_data_from_one_start_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(Some(folder.path()));
    let client = Connected::to(&server).await;
    client
        .client
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")
        .await
        .unwrap();
    client.close().await;
    server.stop().unwrap();

    let server = start(Some(folder.path()));
    let client = Connected::to(&server).await;
    assert_eq!(client.count("t").await, 2);
    client.close().await;
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_clients_that_vanish() {
    let server = start(None);
    let idle = Connected::to(&server).await;
    idle.client.batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await.unwrap();
    idle.vanish().await;

    let in_transaction = Connected::to(&server).await;
    in_transaction.client.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await.unwrap();
    in_transaction.vanish().await;

    let in_query = Connected::to(&server).await;
    in_query.client.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();
    let long_answer =
        in_query.client.simple_query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    assert!(tokio::time::timeout(Duration::from_millis(5), long_answer).await.is_err());
    in_query.vanish().await;

    let next = Connected::to(&server).await;
    let ids = next.client.query("SELECT id FROM t ORDER BY id", &[]).await.unwrap();
    assert_eq!(ids.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 3]);
    next.close().await;
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_bytes_that_are_not_the_protocol() {
    use tokio::io::AsyncWriteExt;

    let server = start(None);
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 0, 0, 0, 0, 0], &[0xff; 64], b"Q\0\0\0\x04"]
    {
        let mut socket = tokio::net::UnixStream::connect(server.socket()).await.unwrap();
        socket.write_all(garbage).await.unwrap();
    }
    let client = Connected::to(&server).await;
    assert_eq!(client.count("pg_class WHERE relname = 'pg_class'").await, 1);
    client.close().await;
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_the_data_set() {
    let server = start(None);
    let client = Connected::to(&server).await;
    let started = Instant::now();
    // The schema may be run again.
    for statement in dataset::schema().iter().chain(dataset::schema()).chain(dataset::rows()) {
        client.client.batch_execute(statement).await.unwrap();
    }
    println!("data set loaded in {:?}", started.elapsed());

    let counts = [
        ("users", 20),
        ("lessons", 12),
        ("enrolments", 40),
        ("words", 100),
        ("search_history", 60),
        ("sessions", 20),
        ("leaderboard", 30),
    ];
    for (table, rows) in counts {
        assert_eq!(client.count(table).await, rows, "{table}");
    }
    for sample in dataset::SAMPLES {
        let rows = client.client.query(sample.sql, &[]).await.unwrap();
        assert!(rows.len() >= 5, "{}: {} rows", sample.title, rows.len());
    }
    assert!(dataset::rows().iter().all(|statement| statement.matches("\n    (").count() <= 25));
    client.close().await;
    server.stop().unwrap();
}

#[test]
fn refuses_a_folder_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(Some(folder.path()));
    let second = EmbeddedPostgres::start(Some(folder.path()));
    assert!(second.unwrap_err().to_string().contains("in use by another"));
    server.stop().unwrap();
    start(Some(folder.path())).stop().unwrap();
}
