//! SET ROLE is its session's, whichever server connection serves it.

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::world::column;
use flywheel_tests::{Setup, Told, World};

/// Roles belong to the whole server: they are named after the world's database.
async fn world(main: &str) -> Option<(World, [String; 2])> {
    let world = Setup::default().main(main).start().await?;
    let roles = ["a", "b"].map(|name| format!("{}_{name}", world.primary().name()));
    let behind = world.behind().await;
    for role in &roles {
        behind.batch_execute(&format!("CREATE ROLE {role}")).await.expect("a role");
    }
    Some((world, roles))
}

async fn without(world: World, roles: [String; 2]) {
    let behind = world.behind().await;
    for role in &roles {
        behind
            .batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
            .await
            .expect("no role");
    }
}

/// A read that goes over connections that clients share, and one that borrows a connection.
const WHO: [&str; 3] = [
    "SELECT current_user, session_user",
    "SELECT current_user, session_user FOR UPDATE",
    "SHOW role",
];

/// What a session's roles are, by the simple and the extended protocol; without what is said of
/// settings, which comes with others' changes.
async fn who(client: &mut Client) -> Vec<Event> {
    let mut said = Vec::new();
    for sql in WHO {
        said.extend(client.query(sql).await.expect("an answer"));
        client.send(&Message::batch_of(sql)).await.expect("sent");
        said.extend(client.until_ready().await.expect("an answer"));
    }
    said.retain(|event| matches!(event, Event::Row(_) | Event::Error(_)));
    said
}

#[tokio::test]
async fn roles_are_as_in_postgresql_and_nobody_elses() {
    for main in [
        "pool_size = 3\nshared_connections = 1",
        "pool_size = 2\nshared_connections = 0",
        "pool_size = 1",
    ] {
        let Some((world, [a, b])) = world(main).await else { return };
        let (mut ours, mut theirs, mut other) =
            (world.raw().await, world.raw_behind().await, world.raw().await);
        let untouched = who(&mut other).await;
        for sql in [
            format!("SET ROLE {a}"),
            "RESET ALL".to_owned(),
            format!("SET LOCAL ROLE {b}"),
            format!("SET SESSION ROLE {b}"),
            "SET statement_timeout = '1min'".to_owned(),
            "SET ROLE NONE".to_owned(),
            format!("SET role TO '{a}'"),
            "RESET ROLE".to_owned(),
            format!("BEGIN; SET ROLE {a}; ROLLBACK"),
            format!("BEGIN; SET ROLE {a}; COMMIT"),
            format!("BEGIN; SET LOCAL ROLE {b}; COMMIT"),
            format!("SET ROLE {b}; SELECT 1 / 0"),
            "SET ROLE nobody_of_this_name".to_owned(),
            format!("BEGIN; SET ROLE {b}; SAVEPOINT s; SET ROLE {a}; ROLLBACK TO s; COMMIT"),
            "SET role = DEFAULT".to_owned(),
            format!("SET ROLE {a}"),
            "DISCARD ALL".to_owned(),
            format!("SELECT set_config('role', '{b}', false)"),
            "RESET ROLE".to_owned(),
            format!("SET ROLE {a}"),
        ] {
            let expected = theirs.query(&sql).await.expect("an answer");
            let found = ours.query(&sql).await.expect("an answer");
            let status = |said: &[Event]| said.last().cloned();
            assert_eq!(status(&found), status(&expected), "{sql}");
            assert_eq!(who(&mut ours).await, who(&mut theirs).await, "after {sql}, {main}");
            if !sql.contains("set_config") || main != "pool_size = 1" {
                assert_eq!(who(&mut other).await, untouched, "after {sql}, {main}");
                assert_eq!(
                    who(&mut ours).await,
                    who(&mut theirs).await,
                    "after {sql} and another's statement, {main}"
                );
            }
            if sql.contains("set_config") {
                for client in [&mut ours, &mut theirs] {
                    client.query("DISCARD ALL").await.expect("an answer");
                }
            }
        }
        // Its connection goes to the others, without the role.
        drop(ours);
        for _ in 0..5 {
            assert_eq!(who(&mut other).await, untouched);
        }
        drop((theirs, other));
        without(world, [a, b]).await;
    }
}

#[tokio::test]
async fn many_clients_with_roles_of_their_own() {
    let Some((world, [a, b])) = world("pool_size = 2").await else {
        return;
    };
    world
        .behind()
        .await
        .batch_execute(&format!(
            "CREATE TABLE things (owner text); ALTER TABLE things ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON things USING (owner = current_user);
             INSERT INTO things VALUES ('{a}'), ('{b}'); GRANT SELECT, UPDATE ON things TO {a}, {b}"
        ))
        .await
        .expect("a table");
    let mut tasks = Vec::new();
    for number in 0..12 {
        let role = [Some(a.clone()), Some(b.clone()), None][number % 3].clone();
        let url = world.url();
        tasks.push(tokio::spawn(async move {
            let client = flywheel_tests::world::connect(&url).await;
            if let Some(role) = &role {
                client.batch_execute(&format!("SET ROLE {role}")).await.expect("SET ROLE");
            }
            let named = client
                .prepare("SELECT owner FROM things ORDER BY owner")
                .await
                .expect("a statement");
            for _ in 0..20 {
                let expected = role.iter().cloned().collect::<Vec<_>>();
                let rows = client.query(&named, &[]).await.expect("rows");
                let seen: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                assert!(
                    seen == expected || role.is_none() && seen.len() == 2,
                    "{seen:?} for {role:?}"
                );
                let seen = column(&client, "SELECT owner FROM things FOR UPDATE").await;
                assert!(
                    seen == expected || role.is_none() && seen.len() == 2,
                    "{seen:?} for {role:?}"
                );
            }
        }));
    }
    for task in tasks {
        task.await.expect("a client");
    }
    without(world, [a, b]).await;
}

#[tokio::test]
async fn a_role_of_the_startup_options() {
    let Some((world, [a, b])) = world("pool_size = 2").await else {
        return;
    };
    let url = format!("{}?options=-c%20role%3D{a}", world.url());
    let client = flywheel_tests::world::connect(&url).await;
    let other = world.gateway().await;
    for (sql, expected) in [
        ("SELECT 1", a.as_str()),
        (&format!("SET ROLE {b}"), &b),
        ("RESET ALL", &b),
        ("RESET ROLE", &a),
        ("DISCARD ALL", "none"),
        ("RESET ROLE", &a),
    ] {
        client.batch_execute(sql).await.expect("done");
        for _ in 0..3 {
            assert_eq!(column(&client, "SHOW role").await, [expected], "{sql}");
            assert_eq!(column(&other, "SHOW role").await, ["none"], "{sql}");
        }
    }
    let unknown = format!("{}?options=-c%20role%3Dnobody_of_this_name", world.url());
    Told::by(flywheel_tests::world::try_connect(&unknown).await.map(drop))
        .is("22023", &["nobody_of_this_name"]);
    without(world, [a, b]).await;
}

#[tokio::test]
async fn a_session_user_keeps_its_connection() {
    let Some((world, [a, b])) = world("pool_size = 3\nshared_connections = 1").await else {
        return;
    };
    let (mut ours, mut theirs, mut other) =
        (world.raw().await, world.raw_behind().await, world.raw().await);
    let untouched = who(&mut other).await;
    for sql in [
        format!("SET ROLE {a}"),
        format!("SET SESSION AUTHORIZATION {b}"),
        "RESET ALL".to_owned(),
        "SET statement_timeout = '1min'".to_owned(),
        "RESET statement_timeout".to_owned(),
        "RESET SESSION AUTHORIZATION".to_owned(),
        format!("SET SESSION AUTHORIZATION {b}"),
        "DISCARD ALL".to_owned(),
    ] {
        for client in [&mut ours, &mut theirs] {
            client.query(&sql).await.expect("an answer");
        }
        assert_eq!(who(&mut ours).await, who(&mut theirs).await, "after {sql}");
        assert_eq!(who(&mut other).await, untouched, "after {sql}");
    }
    drop((ours, theirs, other));
    without(world, [a, b]).await;
}

#[tokio::test]
async fn a_reset_leaves_what_is_set_for_the_transaction() {
    let Some(world) = World::start().await else { return };
    let url = format!("{}?options=-c%20statement_timeout%3D7s", world.url());
    let client = flywheel_tests::world::connect(&url).await;
    client
        .batch_execute("BEGIN; SET LOCAL lock_timeout = '3s'; SET statement_timeout = '8s'; RESET statement_timeout")
        .await
        .expect("RESET");
    assert_eq!(column(&client, "SHOW lock_timeout; SHOW statement_timeout").await, ["3s", "7s"]);
    client.batch_execute("RESET ALL").await.expect("RESET");
    assert_eq!(column(&client, "SHOW lock_timeout; SHOW statement_timeout").await, ["0", "7s"]);
    client.batch_execute("COMMIT").await.expect("COMMIT");
    assert_eq!(column(&client, "SHOW lock_timeout; SHOW statement_timeout").await, ["0", "7s"]);
}

#[tokio::test]
async fn what_is_undone_when_a_client_goes_is_not_taken_for_set() {
    let Some((world, [a, b])) = world("pool_size = 1\nshared_connections = 0").await else {
        return;
    };
    for begins in
        [format!("BEGIN; SET ROLE {a}"), format!("BEGIN; SET LOCAL ROLE {b}; SET ROLE {a}")]
    {
        let leaves = world.gateway().await;
        leaves.batch_execute(&begins).await.expect("a role");
        drop(leaves);
        // The same statement, so that nothing would have to be set where that was believed.
        let comes = world.gateway().await;
        comes.batch_execute(&format!("SET ROLE {a}")).await.expect("a role");
        for _ in 0..3 {
            assert_eq!(column(&comes, "SELECT current_user FOR UPDATE").await, [a.as_str()]);
        }
    }
    // In a text whose statements are one transaction, which its client doesn't wait for.
    let mut leaves = world.raw().await;
    let text = format!("SET ROLE {a}; SELECT pg_sleep(60)\0");
    leaves.send(&[Message::new(b'Q', text.as_bytes())]).await.expect("sent");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    drop(leaves);
    let comes = world.gateway().await;
    comes.batch_execute(&format!("SET ROLE {a}")).await.expect("a role");
    assert_eq!(column(&comes, "SELECT current_user FOR UPDATE").await, [a.as_str()]);
    drop(comes);
    without(world, [a, b]).await;
}

#[tokio::test]
async fn a_session_user_by_its_settings_name_is_nobody_elses() {
    let Some((world, [a, b])) = world("pool_size = 1").await else {
        return;
    };
    let (first, second) = (world.gateway().await, world.gateway().await);
    let user = column(&second, "SELECT session_user").await;
    first.batch_execute(&format!("SET session_authorization = {a}")).await.expect("a user");
    assert_eq!(column(&first, "SELECT session_user").await, [a.as_str()]);
    drop(first);
    assert_eq!(column(&second, "SELECT session_user").await, user);
    assert_eq!(column(&second, "SELECT session_user FOR UPDATE").await, user);
    drop(second);
    without(world, [a, b]).await;
}
