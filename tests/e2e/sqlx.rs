//! sqlx, as an application in Rust uses it: prepared statements that it keeps, binary values, a
//! pool, transactions within transactions.

use flywheel_tests::child::in_time;
use flywheel_tests::{Home, Setup, World};
use futures_util::TryStreamExt;
use sqlx_core::connection::Connection;
use sqlx_core::error::Error;
use sqlx_core::executor::Executor;
use sqlx_core::query::query;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::row::Row;
use sqlx_core::types::Json;
use sqlx_postgres::{PgConnection, PgListener, PgPoolCopyExt, PgPoolOptions};
use uuid::Uuid;

const TABLES: &str = "
    CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, tags jsonb, owner uuid, raw bytea, done boolean, score float8, big bigint, labels text[]);
    CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE)";

fn state(error: &Error) -> String {
    let told = error.as_database_error().unwrap_or_else(|| panic!("{error:?}"));
    told.code().expect("a SQLSTATE").into_owned()
}

async fn values(client: &mut PgConnection) -> Result<(), Error> {
    let (tags, owner) = (serde_json::json!({"a": [1, null, "ü"]}), Uuid::from_u128(7));
    let labels = vec![Some("a".to_owned()), None, Some("b,c".to_owned())];
    let put = "INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let put = query(put)
        .bind(1_i32)
        .bind("naïve ☃")
        .bind(Json(&tags))
        .bind(owner)
        .bind(vec![0_u8, 255, 92])
        .bind(true);
    let put = put.bind(0.1_f64).bind(i64::MAX).bind(&labels).execute(&mut *client).await?;
    assert_eq!(put.rows_affected(), 1);
    query("INSERT INTO items (id, name, big) VALUES ($1, $2, $3)")
        .bind(2_i32)
        .bind("")
        .bind(None::<i64>)
        .execute(&mut *client)
        .await?;
    // The statement is prepared once.
    for _ in 0..5 {
        let row =
            query("SELECT * FROM items WHERE id = $1").bind(1_i32).fetch_one(&mut *client).await?;
        assert_eq!(row.get::<String, _>("name"), "naïve ☃");
        assert_eq!(row.get::<Json<serde_json::Value>, _>("tags").0, tags);
        assert_eq!(row.get::<Uuid, _>("owner"), owner);
        assert_eq!(row.get::<Vec<u8>, _>("raw"), [0, 255, 92]);
        assert_eq!(
            (row.get::<bool, _>("done"), row.get::<f64, _>("score"), row.get::<i64, _>("big")),
            (true, 0.1, i64::MAX)
        );
        assert_eq!(row.get::<Vec<Option<String>>, _>("labels"), labels);
    }
    let none: Option<i64> = query_scalar("SELECT big FROM items WHERE id = $1")
        .bind(2_i32)
        .fetch_one(&mut *client)
        .await?;
    assert_eq!(none, None);
    // More texts than it keeps: it closes the oldest.
    for number in 0..150 {
        let sum: i32 = query_scalar(&format!("SELECT $1 + {number}"))
            .bind(1_i32)
            .fetch_one(&mut *client)
            .await?;
        assert_eq!(sum, number + 1);
    }
    Ok(())
}

async fn transactions(client: &mut PgConnection) -> Result<(), Error> {
    let mut outer = client.begin().await?;
    query("INSERT INTO items (id, name) VALUES ($1, 'kept')")
        .bind(40_i32)
        .execute(&mut *outer)
        .await?;
    query("INSERT INTO words VALUES ($1, 'kept')").bind(40_i32).execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    query("INSERT INTO items (id, name) VALUES ($1, 'lost')")
        .bind(41_i32)
        .execute(&mut *inner)
        .await?;
    let error = query("INSERT INTO words VALUES ($1, 'kept')")
        .bind(41_i32)
        .execute(&mut *inner)
        .await
        .expect_err("a duplicate");
    assert_eq!(state(&error), "23505");
    inner.rollback().await?;
    outer.commit().await?;
    {
        // Dropped, so that it is rolled back before the next statement.
        let mut dropped = client.begin().await?;
        query("DELETE FROM items").execute(&mut *dropped).await?;
    }
    let ids: Vec<i32> =
        query_scalar("SELECT id FROM items ORDER BY id").fetch_all(&mut *client).await?;
    assert_eq!(ids, [1, 2, 40]);
    Ok(())
}

async fn failures(client: &mut PgConnection) -> Result<(), Error> {
    for (sql, wanted) in [
        ("INSERT INTO items (id, name) VALUES ($1, 'x')", "23505"),
        ("INSERT INTO items (id) VALUES ($1 + 8)", "23502"),
        ("SELECT * FROM nowhere WHERE id = $1", "42P01"),
        ("SELECT nothing FROM items WHERE id = $1", "42703"),
        ("SELEC", "42601"),
        ("SELECT $1 / 0", "22012"),
    ] {
        let error = query(sql).bind(1_i32).execute(&mut *client).await.expect_err(sql);
        assert_eq!(state(&error), wanted, "{sql}");
    }
    // Several statements without parameters go by the simple protocol.
    let done = client
        .execute("INSERT INTO words VALUES (1, 'one'); INSERT INTO words VALUES (2, 'two')")
        .await?;
    assert_eq!(done.rows_affected(), 2);
    // A stream that isn't read to its end.
    {
        let mut rows = query("SELECT i FROM generate_series(1, 10000) i").fetch(&mut *client);
        assert_eq!(rows.try_next().await?.expect("a row").get::<i32, _>(0), 1);
    }
    let count: i64 = query_scalar("SELECT count(*) FROM words").fetch_one(&mut *client).await?;
    assert_eq!(count, 3);
    Ok(())
}

async fn pools(url: &str) -> Result<(), Error> {
    let pool = PgPoolOptions::new().max_connections(8).connect(url).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("news").await?;
    let mut clients = Vec::new();
    for id in 100..140_i32 {
        let pool = pool.clone();
        clients.push(tokio::spawn(async move {
            let mut transaction = pool.begin().await?;
            query("INSERT INTO items (id, name) VALUES ($1, $2)")
                .bind(id)
                .bind(format!("item {id}"))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            query_scalar::<_, String>("SELECT name FROM items WHERE id = $1")
                .bind(id)
                .fetch_one(&pool)
                .await
        }));
    }
    for (client, id) in clients.into_iter().zip(100..) {
        assert_eq!(client.await.expect("a client")?, format!("item {id}"));
    }
    let mut copy = pool.copy_in_raw("COPY words FROM STDIN").await?;
    copy.send(&b"10\tten\n11\televen\n"[..]).await?;
    assert_eq!(copy.finish().await?, 2);
    let copied = pool
        .copy_out_raw("COPY (SELECT word FROM words WHERE id >= 10 ORDER BY id) TO STDOUT")
        .await?;
    let copied: Vec<_> = copied.try_collect().await?;
    assert_eq!(copied.concat(), b"ten\neleven\nkept\n");
    query("SELECT pg_notify('news', $1)").bind("hello").execute(&pool).await?;
    assert_eq!(in_time(listener.recv()).await?.payload(), "hello");
    drop(listener);
    pool.close().await;
    Ok(())
}

async fn passes(world: &World, url: &str) {
    let told = async {
        let mut client = PgConnection::connect(url).await?;
        client.execute(TABLES).await?;
        values(&mut client).await?;
        transactions(&mut client).await?;
        failures(&mut client).await?;
        client.close().await?;
        pools(url).await
    };
    in_time(told).await.unwrap_or_else(|error: Error| {
        panic!("{url}, configured by {:?}: {error:?}", world.config())
    });
}

async fn on(home: Home) {
    let Some(world) = Setup::default().table("public.items", home).start().await else {
        return;
    };
    if home.is_available(world.servers()) {
        passes(&world, &format!("{}?sslmode=disable", world.url())).await;
    }
}

#[tokio::test]
async fn on_postgresql_itself() {
    let Some(world) = World::start().await else { return };
    passes(&world, &format!("{}?sslmode=disable", world.oracle_url())).await;
}

#[tokio::test]
async fn on_relational_tables() {
    on(Home::Relational).await;
}

#[tokio::test]
async fn on_redis() {
    on(Home::Redis).await;
}

#[tokio::test]
async fn on_dynoxide() {
    on(Home::Dynoxide).await;
}

#[tokio::test]
async fn on_memory() {
    on(Home::Memory).await;
}
