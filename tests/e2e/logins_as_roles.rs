//! Users with roles and pools of their own, and further databases.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flywheel_tests::child::in_time;
use flywheel_tests::raw::{Client as Raw, Event, Message};
use flywheel_tests::world::{column, connect, try_connect};
use flywheel_tests::{Cluster, Home, Setup, Told, World};
use tokio_postgres::Client;

/// A role's name that no other test uses; roles are the whole server's.
fn unique_role() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("role_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The users `app`, with the url's login, and `limited`, with a role of its own.
fn with_role(setup: Setup, role: &str, keys: &str) -> Setup {
    setup
        .section("[[users]]\nname = \"app\"")
        .section(&format!("[[users]]\nname = \"limited\"\nserver_user = {role:?}\n{keys}"))
}

async fn create(world: &World, role: &str) {
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'");
    world.behind().await.batch_execute(&sql).await.expect("a role");
}

async fn client(world: &World, user: &str) -> Client {
    connect(&world.url_of(user)).await
}

#[tokio::test]
async fn rights_are_the_roles() {
    let role = unique_role();
    let setup = with_role(Setup::default(), &role, "server_password = \"secret\"");
    let Some(world) = setup.start().await else { return };
    create(&world, &role).await;
    let app = client(&world, "app").await;
    app.batch_execute(&format!(
        "CREATE TABLE mine (id int PRIMARY KEY, owner text); CREATE TABLE secret (id int);
         INSERT INTO mine VALUES (1, '{role}'), (2, 'somebody'); INSERT INTO secret VALUES (1);
         ALTER TABLE mine ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON mine USING (owner = current_user);
         GRANT SELECT ON mine TO {role}"
    ))
    .await
    .expect("tables");
    let limited = client(&world, "limited").await;
    let by_name = (
        app.prepare("SELECT count(*) FROM mine").await.expect("a statement"),
        limited.prepare("SELECT count(*) FROM mine").await.expect("a statement"),
    );
    // Often enough for connections to be shared and for texts to be prepared.
    for _ in 0..12 {
        for (client, name, count) in [(&app, "postgres", "2"), (&limited, role.as_str(), "1")] {
            assert_eq!(
                column(client, "SELECT current_user; SELECT session_user").await,
                [name, name]
            );
            assert_eq!(column(client, "SELECT count(*) FROM mine").await, [count]);
            assert_eq!(column(client, "BEGIN; SELECT count(*) FROM mine; COMMIT").await, [count]);
        }
        assert_eq!(app.query_one(&by_name.0, &[]).await.expect("a row").get::<_, i64>(0), 2);
        assert_eq!(limited.query_one(&by_name.1, &[]).await.expect("a row").get::<_, i64>(0), 1);
        assert_eq!(column(&app, "SELECT id FROM secret").await, ["1"]);
        Told::of(&limited, "SELECT id FROM secret").await.is("42501", &["secret"]);
        Told::of(&limited, "DELETE FROM mine").await.is("42501", &["mine"]);
    }
}

/// What a session is told at its login.
async fn told(world: &World, user: &str) -> Vec<(String, String)> {
    let mut raw = Raw::connect(world.process().address()).await.expect("a connection");
    raw.send(&[Message::startup(&[("user", user), ("database", "app")])]).await.expect("a startup");
    let mut settings: Vec<_> = raw
        .until_ready()
        .await
        .expect("a login")
        .into_iter()
        .filter_map(|event| match event {
            Event::Setting(name, value)
                if matches!(
                    name.as_str(),
                    "is_superuser" | "session_authorization" | "TimeZone"
                ) =>
            {
                Some((name, value))
            }
            _ => None,
        })
        .collect();
    settings.sort();
    settings
}

#[tokio::test]
async fn the_login_tells_of_the_role() {
    let role = unique_role();
    let Some(world) = with_role(Setup::default(), &role, "").start().await else {
        return;
    };
    create(&world, &role).await;
    let set = format!("ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'");
    world.behind().await.batch_execute(&set).await.expect("a setting");
    let pairs = |zone: &str, superuser: &str, name: &str| {
        [("TimeZone", zone), ("is_superuser", superuser), ("session_authorization", name)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    let zone = column(&world.behind().await, "SHOW TimeZone").await;
    for _ in 0..2 {
        assert_eq!(told(&world, "limited").await, pairs("Asia/Tokyo", "off", &role));
        assert_eq!(told(&world, "app").await, pairs(&zone[0], "on", "app"));
    }
}

#[tokio::test]
async fn a_role_that_cannot_log_in_is_its_users_trouble() {
    let role = unique_role();
    let Some(world) = with_role(Setup::default(), &role, "").start().await else {
        return;
    };
    let app = client(&world, "app").await;
    for _ in 0..3 {
        Told::by(try_connect(&world.url_of("limited")).await.map(drop))
            .is("28000", &[&role, "Flywheel's own login"]);
        assert_eq!(column(&app, "SELECT 1").await, ["1"]);
    }
    create(&world, &role).await;
    assert_eq!(column(&client(&world, "limited").await, "SELECT current_user").await, [role]);
}

/// In a cluster a role has the same servers as everybody, and doesn't take any away when it is
/// refused.
#[tokio::test]
async fn a_role_in_a_cluster() {
    let Some(cluster) = Cluster::start(1).await else { return };
    let role = unique_role();
    let setup = with_role(Setup::default(), &role, "")
        .primary_at(&cluster.url_of(&[0, 1]))
        .main(&format!("replicas = [{:?}]", cluster.url(1)))
        .main("check_interval = \"100ms\"")
        .main("acquire_timeout = \"1h\"")
        .section("[[routes]]\nwhen = { kind = \"read\" }\nto = \"main.replicas\"");
    let world = setup.start().await.expect("servers");
    let (app, primary) = (client(&world, "app").await, cluster.client(0).await);
    let port = "SELECT inet_server_port()";
    in_time(async { while column(&app, port).await != [cluster.port(1)] {} }).await;
    // It isn't waited for until it may log in.
    Told::by(in_time(try_connect(&world.url_of("limited"))).await.map(drop)).is("28000", &[&role]);
    primary.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.expect("a role");
    cluster.catch_up(0, 1).await;
    let limited = in_time(client(&world, "limited")).await;
    in_time(async { while column(&limited, port).await != [cluster.port(1)] {} }).await;
    assert_eq!(column(&limited, "SELECT current_user").await, [role.as_str()]);
    // From now on it can't log in to the replica again. It has a connection to the primary still.
    primary.batch_execute(&format!("ALTER ROLE {role} NOLOGIN")).await.expect("ALTER ROLE");
    cluster.catch_up(0, 1).await;
    let end = format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{role}'"
    );
    column(&cluster.client(1).await, &end).await;
    for _ in 0..5 {
        assert_eq!(in_time(column(&limited, port)).await, [cluster.port(0)]);
    }
    // A connection that broke may have been the replica's own end: that is looked at. A refusal
    // isn't.
    in_time(async { while column(&app, port).await != [cluster.port(1)] {} }).await;
    for _ in 0..5 {
        assert_eq!(in_time(column(&limited, port)).await, [cluster.port(0)]);
        assert_eq!(column(&app, port).await, [cluster.port(1)]);
    }
}

#[tokio::test]
async fn a_pool_of_ones_own() {
    let role = unique_role();
    let setup = with_role(Setup::default(), &role, "pool_size = 1")
        .section("[[users]]\nname = \"counted\"\npool_size = 1")
        .main("pool_size = 2")
        .main("acquire_timeout = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    create(&world, &role).await;
    let pairs = [("limited", role.as_str()), ("counted", "postgres")];
    for (user, name) in pairs {
        let (one, other) = (client(&world, user).await, client(&world, user).await);
        one.batch_execute("BEGIN").await.expect("BEGIN");
        let told = Told::of(&other, "SELECT 1").await;
        told.is(
            "53300",
            &[
                &format!("role \"{name}\""),
                "database",
                &format!("`pool_size` of \"{user}\" in [[users]]"),
                "All 1",
            ],
        );
        // The others' connections are others.
        assert_eq!(column(&client(&world, "app").await, "BEGIN; SELECT 1; COMMIT").await, ["1"]);
        one.batch_execute("COMMIT").await.expect("COMMIT");
        assert_eq!(column(&other, "SELECT 1").await, ["1"]);
    }
}

#[tokio::test]
async fn first_come_first_served() {
    let role = unique_role();
    let Some(world) = with_role(Setup::default(), &role, "pool_size = 1").start().await else {
        return;
    };
    create(&world, &role).await;
    let app = client(&world, "app").await;
    app.batch_execute(&format!(
        "CREATE TABLE came (id serial, who int); GRANT ALL ON came, came_id_seq TO {role}"
    ))
    .await
    .expect("a table");
    let holder = client(&world, "limited").await;
    holder.batch_execute("BEGIN").await.expect("BEGIN");
    let mut waiting = Vec::new();
    for number in 0..8 {
        let client = client(&world, "limited").await;
        waiting.push(tokio::spawn(async move {
            client
                .batch_execute(&format!("INSERT INTO came (who) VALUES ({number})"))
                .await
                .expect("a row");
        }));
        // They come one after the other.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    holder.batch_execute("COMMIT").await.expect("COMMIT");
    for each in waiting {
        each.await.expect("a client");
    }
    let expected: Vec<_> = (0..8).map(|number| number.to_string()).collect();
    assert_eq!(column(&app, "SELECT who FROM came ORDER BY id").await, expected);
}

#[tokio::test]
async fn store_tables_under_a_role() {
    let role = unique_role();
    let setup = with_role(Setup::default(), &role, "")
        .table("public.carts", Home::Redis)
        .table("public.hidden", Home::Redis);
    let Some(world) = setup.start().await else { return };
    create(&world, &role).await;
    let behind = world.behind().await;
    behind
        .batch_execute(&format!(
            "CREATE TABLE carts (id int PRIMARY KEY, n int); CREATE TABLE hidden (id int PRIMARY KEY, n int); GRANT SELECT ON carts TO {role}"
        ))
        .await
        .expect("tables");
    // The first to log in, who may not even look whether `hidden` is empty.
    let limited = client(&world, "limited").await;
    let app = client(&world, "app").await;
    app.batch_execute("INSERT INTO carts VALUES (1, 10); INSERT INTO hidden VALUES (1, 20)")
        .await
        .expect("rows");
    for _ in 0..2 {
        for sql in ["SELECT n FROM carts WHERE id = 1", "SELECT n + 0 FROM carts WHERE id = 1"] {
            assert_eq!(column(&app, sql).await, ["10"]);
            assert_eq!(column(&limited, sql).await, ["10"]);
        }
        assert_eq!(column(&app, "SELECT n FROM hidden WHERE id = 1").await, ["20"]);
        for sql in [
            "SELECT n FROM hidden WHERE id = 1",
            "SELECT sum(n) FROM hidden",
            "SELECT * FROM carts JOIN hidden USING (id)",
            "COPY hidden TO STDOUT",
            "DELETE FROM hidden WHERE id = 1",
        ] {
            Told::of(&limited, sql).await.is("42501", &["hidden"]);
        }
        for sql in [
            "INSERT INTO carts VALUES (2, 20)",
            "UPDATE carts SET n = 11 WHERE id = 1",
            "UPDATE carts SET n = n + 1 WHERE id = 1",
            "DELETE FROM carts WHERE id = 1",
            "TRUNCATE carts",
            "COPY carts FROM STDIN",
        ] {
            Told::of(&limited, sql).await.is("42501", &["carts"]);
        }
        let prepared = limited.prepare("SELECT n FROM hidden WHERE id = $1").await;
        Told::by(prepared.map(drop)).is("42501", &["hidden"]);
        let prepared =
            limited.prepare("SELECT n FROM carts WHERE id = $1").await.expect("a statement");
        assert_eq!(
            limited.query_one(&prepared, &[&1_i32]).await.expect("a row").get::<_, i32>(0),
            10
        );
    }
    // A right that is given or taken is noticed when the definition's digest is looked at next.
    behind
        .batch_execute(&format!("GRANT ALL ON hidden TO {role}; REVOKE ALL ON carts FROM {role}"))
        .await
        .expect("GRANT");
    assert_eq!(column(&limited, "SELECT n FROM hidden WHERE id IN (1)").await, ["20"]);
    limited.batch_execute("UPDATE hidden SET n = n + 1 WHERE id = 1").await.expect("UPDATE");
    Told::of(&limited, "SELECT n FROM carts WHERE id = 1").await.is("42501", &["carts"]);
}

/// SET ROLE restricts on a store as in PostgreSQL, and for as long.
#[tokio::test]
async fn store_tables_under_set_role() {
    let role = unique_role();
    let Some(world) = Setup::default().table("public.carts", Home::Redis).start().await else {
        return;
    };
    let client = world.gateway().await;
    let of_role = format!(
        "CREATE ROLE {role}; CREATE TABLE carts (id int PRIMARY KEY, n int); GRANT SELECT (id) ON carts TO {role}"
    );
    client.batch_execute(&of_role).await.expect("a role and a table");
    client.batch_execute("INSERT INTO carts VALUES (1, 10)").await.expect("a row");
    let allowed = ["SELECT id FROM carts WHERE id = 1", "SELECT count(id) FROM carts WHERE id = 1"];
    let forbidden = [
        "SELECT * FROM carts WHERE id = 1",
        "SELECT sum(n) FROM carts WHERE id = 1",
        "INSERT INTO carts VALUES (2, 20)",
        "UPDATE carts SET n = 11 WHERE id = 1",
        "DELETE FROM carts WHERE id = 1",
        "TRUNCATE carts",
        "COPY carts FROM STDIN",
        "COPY carts TO STDOUT",
    ];
    for _ in 0..2 {
        for sql in forbidden.iter().filter(|sql| sql.starts_with("SELECT")) {
            column(&client, sql).await;
        }
        client.batch_execute(&format!("SET ROLE {role}")).await.expect("SET ROLE");
        for sql in allowed {
            assert_eq!(column(&client, sql).await, ["1"], "{sql}");
        }
        for sql in forbidden {
            Told::of(&client, sql).await.is("42501", &["carts"]);
        }
        client.batch_execute("RESET ROLE").await.expect("RESET ROLE");
        // So it does inside a block.
        client
            .batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}"))
            .await
            .expect("SET LOCAL ROLE");
        Told::of(&client, forbidden[3]).await.is("42501", &["carts"]);
        client.batch_execute("ROLLBACK").await.expect("ROLLBACK");
    }
    client
        .batch_execute(&format!(
            "DELETE FROM carts WHERE id = 1; COMMIT; DROP TABLE carts; DROP ROLE {role}"
        ))
        .await
        .expect("no role");
}

#[tokio::test]
async fn further_databases() {
    let setup = Setup::default().table("public.carts", Home::Redis).other_database("");
    let Some(world) = setup.start().await else { return };
    let main = world.gateway().await;
    let other = connect(&world.url_to("other")).await;
    let oracle = world.oracle().await;
    assert_eq!(
        column(&other, "SELECT current_database()").await,
        column(&oracle, "SELECT current_database()").await
    );
    assert_ne!(
        column(&main, "SELECT current_database()").await,
        column(&other, "SELECT current_database()").await
    );
    main.batch_execute(
        "CREATE TABLE carts (id int PRIMARY KEY, n int); INSERT INTO carts VALUES (1, 10)",
    )
    .await
    .expect("a table");
    // There it is a table like any other, also to statements that were planned in the main
    // database.
    other
        .batch_execute("CREATE TABLE carts (id int PRIMARY KEY, n int UNIQUE); INSERT INTO carts VALUES (1, 77)")
        .await
        .expect("a table");
    for _ in 0..8 {
        for sql in ["SELECT n FROM carts WHERE id = 1", "SELECT sum(n) FROM carts"] {
            assert_eq!(column(&main, sql).await, ["10"]);
            assert_eq!(column(&other, sql).await, ["77"]);
        }
    }
    assert_eq!(column(&oracle, "SELECT n FROM carts").await, ["77"]);
    assert_eq!(column(&other, "TRUNCATE carts; SELECT count(*) FROM carts").await, ["0"]);
    assert_eq!(column(&main, "SELECT n FROM carts WHERE id = 1").await, ["10"]);
    Told::by(try_connect(&world.url_to("third")).await.map(drop))
        .is("3D000", &["third", "\"app\", \"other\""]);
}

#[tokio::test]
async fn a_database_has_pools_of_its_own() {
    let role = unique_role();
    let keys = "pool_size = 1\npool_mode = \"session\"";
    let setup = with_role(Setup::default(), &role, "pool_mode = \"transaction\"")
        .other_database(keys)
        .main("acquire_timeout = \"300ms\"");
    let Some(world) = setup.start().await else { return };
    create(&world, &role).await;
    let to = |user: &str| world.url_to("other").replace("postgres@", &format!("{user}@"));
    let (one, second) = (connect(&to("app")).await, connect(&to("app")).await);
    one.batch_execute("SELECT 1").await.expect("a statement");
    Told::of(&second, "SELECT 1").await.is("53300", &["`pool_size` of \"other\" in [[databases]]"]);
    assert_eq!(column(&client(&world, "app").await, "SELECT 1").await, ["1"]);
    // The user's mode goes before the database's; the pool is one of the role's.
    let (limited, again) = (connect(&to("limited")).await, connect(&to("limited")).await);
    for client in [&limited, &again, &limited] {
        assert_eq!(column(client, "SELECT current_user").await, [role.as_str()]);
    }
    drop(one);
    while second.batch_execute("SELECT 1").await.is_err() {}
}

/// A role of a user's own puts records into the outbox, which it can't read; it was made under the
/// url's login.
#[tokio::test]
async fn blocks_over_stores() {
    let role = unique_role();
    let setup = with_role(Setup::default(), &role, "server_password = \"secret\"");
    let setup = setup.table("public.carts", Home::Dynoxide).table("public.stock", Home::Memory);
    let Some(world) = setup.start().await else { return };
    create(&world, &role).await;
    let app = client(&world, "app").await;
    app.batch_execute(&format!(
        "CREATE TABLE carts (id int PRIMARY KEY); CREATE TABLE stock (id int PRIMARY KEY); GRANT ALL ON carts, stock TO {role}"
    ))
    .await
    .expect("tables");
    let limited = client(&world, "limited").await;
    for id in 1..=3 {
        let block = format!(
            "BEGIN; INSERT INTO carts VALUES ({id}); INSERT INTO stock VALUES ({id}); COMMIT"
        );
        limited.batch_execute(&block).await.expect("COMMIT");
    }
    Told::of(&limited, "SELECT * FROM flywheel.outbox").await.is("42501", &[]);
    assert_eq!(column(&limited, "SELECT count(*) FROM carts JOIN stock USING (id)").await, ["3"]);
    // What somebody puts in does nothing, and doesn't stop what looks after it.
    let forged = "INSERT INTO flywheel.outbox (id, changes) VALUES (gen_random_uuid(), '[{\"store\": \"memory\", \"schema\": \"public\", \
                  \"table\": \"stock\", \"key\": [\"1\"], \"row\": null}]'), (gen_random_uuid(), '7')";
    limited.batch_execute(forged).await.expect("rows");
    in_time(async {
        while column(&app, "SELECT count(*) FROM flywheel.outbox").await != ["1"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(column(&limited, "SELECT count(*) FROM stock").await, ["3"]);
}
