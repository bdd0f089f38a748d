//! DynamoDB's own ways: throttling, parts of batches left over, limits, regions and credentials.

mod reads;

use flywheel_tests::child::run;
use flywheel_tests::endpoint::Endpoint;
use flywheel_tests::world::{column, dynoxide, flywheel};
use flywheel_tests::{Home, Setup, Told, World};
use serde_json::json;
use tokio::process::Command;
use tokio_postgres::Client;

/// A gateway whose table `t` is in a DynamoDB behind an endpoint that can be told to refuse.
async fn behind(definition: &str, keys: &str) -> Option<(World, Client, Endpoint)> {
    behind_with(definition, keys, "2s").await
}

/// `timeout`: for how long an answer of the store is waited for.
async fn behind_with(
    definition: &str,
    keys: &str,
    timeout: &str,
) -> Option<(World, Client, Endpoint)> {
    let endpoint = Endpoint::in_front_of(dynoxide()).await;
    let prefix = uuid::Uuid::new_v4();
    let world = Setup::default()
        .section(&format!(
            "[stores.behind]\nkind = \"dynamodb\"\nregion = \"eu-central-1\"\nendpoint = {:?}\ntable_prefix = \"{prefix}-\"\ntimeout = \"{timeout}\"\n\
             access_key_id = \"test\"\nsecret_access_key = \"test\"\n[[tables]]\nname = \"t\"\nstore = \"behind\"\n{keys}",
            endpoint.url()
        ))
        .start()
        .await?;
    let client = world.gateway().await;
    client.batch_execute(&format!("CREATE TABLE t ({definition})")).await.expect("a table");
    endpoint.reset();
    Some((world, client, endpoint))
}

const THROTTLING: [&str; 3] =
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];

#[tokio::test]
async fn what_is_throttled_is_tried_again() {
    let Some((_world, client, endpoint)) =
        behind("id int PRIMARY KEY, v text", "allow_scan = true").await
    else {
        return;
    };
    for code in THROTTLING {
        endpoint.reset();
        for operation in [
            "PutItem",
            "GetItem",
            "UpdateItem",
            "Scan",
            "BatchGetItem",
            "TransactWriteItems",
            "DeleteItem",
        ] {
            endpoint.refuse(operation, 2, code);
        }
        client.batch_execute("INSERT INTO t VALUES (1, 'a')").await.expect("a put");
        client.batch_execute("UPDATE t SET v = 'b' WHERE id = 1").await.expect("an update");
        assert_eq!(column(&client, "SELECT v FROM t WHERE id = 1").await, ["b"]);
        client
            .batch_execute("INSERT INTO t VALUES (2, 'c'), (3, 'd')")
            .await
            .expect("a transaction");
        assert_eq!(
            column(&client, "SELECT v FROM t WHERE id IN (2, 3) ORDER BY id").await,
            ["c", "d"]
        );
        assert_eq!(column(&client, "SELECT count(*) FROM t").await, ["3"]);
        client.batch_execute("DELETE FROM t WHERE id = 1").await.expect("a delete");
        client.batch_execute("DELETE FROM t WHERE id IN (2, 3)").await.expect("deletes");
        for operation in [
            "PutItem",
            "GetItem",
            "UpdateItem",
            "Scan",
            "BatchGetItem",
            "TransactWriteItems",
            "DeleteItem",
        ] {
            assert!(endpoint.seen(operation).len() > 2, "{operation} after {code}");
        }
    }
}

#[tokio::test]
async fn what_stays_throttled_is_told_with_the_tables_name() {
    let Some((_world, client, endpoint)) = behind("id int PRIMARY KEY, v text", "").await else {
        return;
    };
    for code in THROTTLING {
        endpoint.reset();
        endpoint.refuse("GetItem", usize::MAX, code);
        endpoint.refuse("PutItem", usize::MAX, code);
        for sql in ["SELECT * FROM t WHERE id = 1", "INSERT INTO t VALUES (1)"] {
            Told::of(&client, sql).await.is(
                "53400",
                &[
                    "public.t",
                    "store \"behind\"",
                    "over its capacity",
                    code,
                    "raise the table's capacity",
                ],
            );
        }
        assert!(endpoint.seen("PutItem").len() > 3, "attempts at a put");
    }
    let reasons = json!([{ "Code": "None" }, { "Code": "ThrottlingError", "Message": "Throughput exceeds the current capacity" }]);
    let cancelled = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    endpoint.reset();
    endpoint.answer("TransactWriteItems", 2, cancelled.clone());
    client.batch_execute("INSERT INTO t VALUES (1), (2)").await.expect("the third attempt");
    endpoint.answer("TransactWriteItems", usize::MAX, cancelled);
    Told::of(&client, "INSERT INTO t VALUES (3), (4)")
        .await
        .is("53400", &["public.t", "ThrottlingError"]);
    endpoint.reset();
    assert_eq!(
        column(&client, "SELECT id FROM t WHERE id IN (1, 2, 3, 4) ORDER BY id").await,
        ["1", "2"]
    );
}

#[tokio::test]
async fn keys_that_a_batch_leaves_over_are_asked_for_again() {
    let Some((_world, client, endpoint)) = behind("id int PRIMARY KEY, v text", "").await else {
        return;
    };
    client
        .batch_execute(
            "BEGIN; INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 90) i; COMMIT",
        )
        .await
        .expect("rows");
    endpoint.process_only(7);
    let ids: Vec<_> = (1..=250).map(|id| id.to_string()).collect();
    let counted =
        column(&client, &format!("SELECT count(*) FROM t WHERE id IN ({})", ids.join(", "))).await;
    assert_eq!(counted, ["90"]);
    let sizes: Vec<_> = endpoint.seen("BatchGetItem").iter().map(keys).collect();
    assert!(sizes.iter().all(|&size| size <= 100) && sizes.len() > 20, "{sizes:?}");
    endpoint.reset();
    endpoint.process_only(0);
    Told::of(&client, "SELECT * FROM t WHERE id IN (1, 2)")
        .await
        .is("53400", &["public.t", "unprocessed"]);
}

#[tokio::test]
async fn a_truncate_deletes_row_by_row() {
    let Some((_world, client, endpoint)) =
        behind("id int PRIMARY KEY, v text", "allow_scan = true").await
    else {
        return;
    };
    client
        .batch_execute("BEGIN; INSERT INTO t SELECT i FROM generate_series(1, 90) i; COMMIT")
        .await
        .expect("rows");
    endpoint.refuse("DeleteItem", 2, "ThrottlingException");
    client.batch_execute("TRUNCATE t").await.expect("an empty table");
    assert!(endpoint.seen("DeleteItem").len() > 90, "{}", endpoint.seen("DeleteItem").len());
    assert_eq!(column(&client, "SELECT count(*) FROM t").await, ["0"]);
}

fn keys(request: &flywheel_tests::endpoint::Request) -> usize {
    let tables = request.body["RequestItems"].as_object().expect("tables").values();
    tables.map(|table| table["Keys"].as_array().expect("keys").len()).sum()
}

#[tokio::test]
async fn limits_are_told_before_anything_is_sent() {
    for home in Home::DYNAMODBS {
        let setup = Setup::default()
            .table("public.t", home)
            .table("public.pairs", home)
            .table("public.numbers", home);
        let Some(world) = setup.start().await else { return };
        if !home.is_available(world.servers()) {
            continue;
        }
        let client = world.gateway().await;
        client
            .batch_execute(
                "CREATE TABLE t (id text PRIMARY KEY, v text);
                 CREATE TABLE pairs (a text, b text, PRIMARY KEY (a, b));
                 CREATE TABLE numbers (n numeric(60,0) PRIMARY KEY, v numeric)",
            )
            .await
            .expect("tables");
        let told =
            async |sql: String, words: &[&str]| Told::of(&client, &sql).await.is("54000", words);
        told(
            format!("INSERT INTO t VALUES ('a', '{}')", "x".repeat(400 * 1024)),
            &["public.t", "400 KB", "names of its attributes"],
        )
        .await;
        client
            .batch_execute(&format!(
                "INSERT INTO t VALUES ('a', '{}')",
                "x".repeat(400 * 1024 - "idav".len())
            ))
            .await
            .expect("an item of 400 KB");
        told(
            format!("INSERT INTO t VALUES ('{}')", "x".repeat(2049)),
            &["public.t", "\"id\"", "2049 bytes", "2048"],
        )
        .await;
        client
            .batch_execute(&format!("INSERT INTO t VALUES ('{}')", "x".repeat(2048)))
            .await
            .expect("a key of 2048 bytes");
        told(
            format!("INSERT INTO pairs VALUES ('a', '{}')", "x".repeat(1025)),
            &["public.pairs", "\"b\"", "1025 bytes", "1024"],
        )
        .await;
        client
            .batch_execute(&format!("INSERT INTO pairs VALUES ('a', '{}')", "x".repeat(1024)))
            .await
            .expect("a sort key of 1024 bytes");
        told("INSERT INTO t VALUES ('')".into(), &["\"id\" is empty"]).await;
        told("INSERT INTO pairs VALUES ('a', '')".into(), &["\"b\" is empty"]).await;
        // No row can have such a key, so there is none.
        assert_eq!(column(&client, "SELECT id FROM t WHERE id = ''").await, Vec::<String>::new());
        assert_eq!(
            column(&client, &format!("SELECT id FROM t WHERE id = '{}'", "x".repeat(3000))).await,
            Vec::<String>::new()
        );

        let digits = "12345678901234567890123456789012345678";
        client
            .batch_execute(&format!("INSERT INTO numbers VALUES ({digits}, {digits})"))
            .await
            .expect("38 digits");
        client
            .batch_execute(&format!("INSERT INTO numbers VALUES (1, {digits}9.5)"))
            .await
            .expect("more digits, as text");
        told(format!("INSERT INTO numbers VALUES ({digits}9)"), &["\"n\"", "38 digits"]).await;
        assert_eq!(
            column(&client, &format!("SELECT v FROM numbers WHERE n = {digits}")).await,
            [digits]
        );
        assert_eq!(
            column(&client, "SELECT v FROM numbers WHERE n = 1").await,
            [format!("{digits}9.5")]
        );

        told(
            "BEGIN; INSERT INTO pairs SELECT 'many', i::text FROM generate_series(1, 101) i; COMMIT".into(),
            &["101 changes", "100", "several transactions"],
        )
        .await;
        client.batch_execute("ROLLBACK").await.expect("an end");
        client
            .batch_execute("BEGIN; INSERT INTO pairs SELECT 'many', i::text FROM generate_series(1, 100) i; COMMIT")
            .await
            .expect("100 rows");
        told(
            "BEGIN; INSERT INTO t SELECT 'big' || i, repeat('x', 390000) FROM generate_series(1, 11) i; COMMIT".into(),
            &["4 MB", "several transactions"],
        )
        .await;
        client.batch_execute("ROLLBACK").await.expect("an end");
        let many: Vec<_> = (1..=250).map(|n| format!("'{n}'")).collect();
        let many = many.join(", ");
        assert_eq!(
            column(
                &client,
                &format!("SELECT count(*) FROM pairs WHERE a = 'many' AND b IN ({many})")
            )
            .await,
            ["100"]
        );
        assert_eq!(
            column(&client, &format!("SELECT id FROM t WHERE id IN ('a', {many})")).await,
            ["a"]
        );
    }
}

/// What `flywheel check --connect` sends with this section's keys and these variables.
async fn signed(
    world: &World,
    keys: &str,
    variables: &[(&str, &str)],
) -> flywheel_tests::endpoint::Request {
    let endpoint = Endpoint::in_front_of(dynoxide()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flywheel.toml");
    let text = format!(
        "auth = \"trust\"\n[stores.main]\nkind = \"postgres\"\nurl = {:?}\n[stores.history]\nkind = \"dynamodb\"\nendpoint = {:?}\n{keys}\n",
        world.primary().url(),
        endpoint.url()
    );
    std::fs::write(&file, text).expect("a file");
    let mut command = Command::new(flywheel());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    run(command.args(["check".as_ref(), "--connect".as_ref(), file.as_os_str()])).await.well();
    endpoint.seen("ListTables").pop().expect("a request")
}

#[tokio::test]
async fn region_and_credentials_come_from_where_the_sdk_looks() {
    let Some(world) = Setup::default().start().await else { return };
    let keys = "access_key_id = \"FROMFILE\"\nsecret_access_key = \"s\"";
    let credential = |request: &flywheel_tests::endpoint::Request| {
        let (_, credential) =
            request.authorization.split_once("Credential=").expect("a credential");
        let parts: Vec<_> = credential.split('/').map(str::to_owned).collect();
        (parts[0].clone(), parts[2].clone())
    };
    let sent = signed(
        &world,
        &format!("region = \"ap-southeast-2\"\n{keys}"),
        &[("AWS_REGION", "us-west-2")],
    )
    .await;
    assert_eq!(credential(&sent), ("FROMFILE".into(), "ap-southeast-2".into()));
    let environment = [
        ("AWS_REGION", "us-west-2"),
        ("AWS_ACCESS_KEY_ID", "FROMENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "a token"),
    ];
    let sent = signed(&world, "", &environment).await;
    assert_eq!(credential(&sent), ("FROMENVIRONMENT".into(), "us-west-2".into()));
    assert_eq!(sent.token, "a token");
    let folder = tempfile::tempdir().expect("a folder");
    let profiles = folder.path().join("config");
    std::fs::write(&profiles, "[profile elsewhere]\nregion = sa-east-1\n").expect("a file");
    let profile =
        [("AWS_CONFIG_FILE", profiles.to_str().expect("a path")), ("AWS_PROFILE", "elsewhere")];
    let sent = signed(&world, keys, &profile).await;
    assert_eq!(credential(&sent), ("FROMFILE".into(), "sa-east-1".into()));
    let process = r#"{"Version": 1, "AccessKeyId": "FROMPROCESS", "SecretAccessKey": "s", "SessionToken": "its token"}"#;
    std::fs::write(
        &profiles,
        format!("[default]\nregion = eu-north-1\naws_access_key_id = FROMPROFILE\naws_secret_access_key = s\n[profile process]\nregion = eu-north-1\ncredential_process = echo '{process}'\n"),
    )
    .expect("a file");
    let file = ("AWS_CONFIG_FILE", profiles.to_str().expect("a path"));
    let sent = signed(&world, "", &[file]).await;
    assert_eq!(credential(&sent), ("FROMPROFILE".into(), "eu-north-1".into()));
    let sent = signed(&world, "", &[file, ("AWS_PROFILE", "process")]).await;
    assert_eq!((credential(&sent).0, sent.token), ("FROMPROCESS".into(), "its token".into()));
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().expect("a path");
    let sent = signed(
        &world,
        "",
        &[("AWS_CONFIG_FILE", nowhere), ("AWS_SHARED_CREDENTIALS_FILE", nowhere)],
    )
    .await;
    assert_eq!(
        credential(&sent),
        ("flywheel".into(), "us-east-1".into()),
        "placeholders for an emulator"
    );
}
