//! The command line.

use flywheel_tests::child::{Ran, run};
use flywheel_tests::world::flywheel;
use flywheel_tests::{Home, Setup};
use tokio::process::Command;

const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/embedded.toml");
const PRODUCTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/production.toml");

async fn ran(arguments: &[&str]) -> Ran {
    run(Command::new(flywheel()).args(arguments).env_remove("FLYWHEEL_CONFIG").env("NO_COLOR", "1"))
        .await
}

const MISTAKEN: &str = r#"listen = "nowhere"
auht = "trust"

[limits]
max_fetch_rows = 0
login_timeout = "10 parsecs"

[[users]]
name = "app"
password = "${FLYWHEEL_TEST_IS_NOT_SET}"

[stores.main]
kind = "postgres"
url = "mysql://db/app"
pool_sise = 3

[stores.fast]
kind = "redis"
url = "redis://cache"

[[tables]]
name = "public.sessions"
store = "fsat"

[[tables]]
name = "public.leaderboard"
store = "fast"
layout = "sorted_set"
"#;

/// Mistakes of the file's form: line, column, and a word of what is said.
const FORM: [(usize, usize, &str); 4] = [
    (2, 1, "`auht`"),
    (5, 18, "max_fetch_rows"),
    (10, 12, "FLYWHEEL_TEST_IS_NOT_SET"),
    (15, 1, "`pool_sise`"),
];

/// Mistakes of its meaning.
const MEANING: [(usize, usize, &str); 5] =
    [(1, 10, "nowhere"), (6, 17, "parsecs"), (14, 7, "mysql"), (23, 9, "fsat"), (25, 1, "score")];

/// Checks a text, which must be reported with each of these.
async fn told(text: &str, mistakes: &[(usize, usize, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.toml");
    std::fs::write(&file, text).expect("a file");
    let file = file.to_str().expect("its path");
    let ran = ran(&["check", file]).await;
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    for (line, column, word) in mistakes {
        let place = format!("{file}:{line}:{column}: ");
        let said = ran.stderr.lines().any(|line| line.starts_with(&place) && line.contains(word));
        assert!(said, "{place}…{word}… isn't in\n{}", ran.stderr);
    }
    ran.stderr
}

#[tokio::test]
async fn mistakes_of_form_are_told_with_their_places() {
    let report = told(MISTAKEN, &FORM).await;
    assert!(
        report.contains("did you mean `auth`?") && report.contains("did you mean `pool_size`?"),
        "{report}"
    );
}

#[tokio::test]
async fn mistakes_of_meaning_are_told_with_their_places() {
    let well_formed = MISTAKEN
        .replace("auht", "auth")
        .replace("= 0", "= 1")
        .replace("${FLYWHEEL_TEST_IS_NOT_SET}", "secret")
        .replace("pool_sise", "pool_size");
    let report = told(&well_formed, &MEANING).await;
    assert!(report.contains("5 mistakes"), "{report}");
}

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    told(MISTAKEN, &[&FORM[..], &MEANING].concat()).await;
}

#[tokio::test]
async fn what_is_not_toml_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:6432\"\n[stores.main\n").expect("a file");
    let file = file.to_str().expect("its path");
    let ran = ran(&["check", file]).await;
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{file}:2:")), "{ran:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    for arguments in [["check", "/nowhere/app.toml"], ["--config", "/nowhere/app.toml"]] {
        let ran = ran(&arguments).await;
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        assert!(
            ran.stderr.contains("/nowhere/app.toml") && ran.stderr.contains("No such file"),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn the_files_that_come_along_are_right() {
    let checked = ran(&["check", EMBEDDED]).await.well();
    assert!(checked.stdout.contains("3 stores, 3 tables"), "{checked:?}");
    let mut check = Command::new(flywheel());
    check.args(["check", PRODUCTION]);
    for name in ["APP_PASSWORD", "PG_PASSWORD", "REDIS_PASSWORD"] {
        check.env(name, "secret");
    }
    // All but the file with a password, which only production has.
    let checked = run(&mut check).await;
    let mistakes = checked.stderr.lines().filter(|line| line.starts_with(PRODUCTION)).count();
    assert!(mistakes == 1 && checked.stderr.contains("/run/secrets/analyst"), "{checked:?}");
}

#[tokio::test]
async fn the_schema_is_json() {
    let printed = ran(&["schema"]).await.well().stdout;
    let schema: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    for key in ["listen", "database", "auth", "limits", "users", "stores", "tables", "routes"] {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_crash() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "\"$0\" schema | head -n 1 >/dev/null",
        flywheel().to_str().expect("its path"),
    ]);
    let ran = run(&mut command).await.well();
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
}

#[tokio::test]
async fn a_check_reaches_every_store() {
    let setup = Setup::default()
        .table("public.history", Home::Dynoxide)
        .table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let config = world.config();
    let check = ["check", "--connect", config.to_str().expect("its path")];
    world
        .gateway()
        .await
        .batch_execute("CREATE TABLE history (user_id int, n int, PRIMARY KEY (user_id, n)); CREATE TABLE sessions (id int PRIMARY KEY)")
        .await
        .expect("tables");
    let told = ran(&check).await.well().stdout;
    for line in [
        "store dynoxide: DynamoDB answers",
        "store redis: Redis answers",
        "PostgreSQL answers",
        "table public.history: fits its home in store dynoxide",
        "table public.sessions: fits its home in store redis",
    ] {
        assert!(told.contains(line), "{line} isn't in\n{told}");
    }

    let behind = world.behind().await;
    behind.batch_execute("DROP TABLE sessions").await.expect("DROP TABLE");
    let told = ran(&check).await;
    assert!(!told.status.success(), "{told:?}");
    assert!(
        told.stdout.contains("table public.sessions: PostgreSQL has no table of this name"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("table public.history: fits"), "{}", told.stdout);

    behind
        .batch_execute(
            "DROP TABLE history; CREATE TABLE history (user_id text, n int, PRIMARY KEY (user_id)); CREATE TABLE sessions (id int)",
        )
        .await
        .expect("another key");
    let told = ran(&check).await;
    assert!(!told.status.success(), "{told:?}");
    assert!(
        told.stdout.contains("table public.sessions: ") && told.stdout.contains("primary key"),
        "{}",
        told.stdout
    );
    let history: Vec<_> =
        told.stdout.lines().filter(|line| line.starts_with("table public.history: ")).collect();
    assert!(
        !history.is_empty() && history.iter().all(|line| line.contains("key")),
        "{}",
        told.stdout
    );
}

#[tokio::test]
async fn a_check_tells_of_stores_that_are_down() {
    let closed = flywheel_tests::port::free_port();
    let setup = Setup::default()
        .redis_at(&format!("redis://127.0.0.1:{closed}"))
        .primary_at(&format!("postgres://app@127.0.0.1:{closed}/app"))
        .table("public.sessions", Home::Redis);
    let Some(world) = setup.start().await else { return };
    let told = ran(&["check", "--connect", world.config().to_str().expect("its path")]).await;
    assert!(!told.status.success(), "{told:?}");
    assert!(told.stdout.contains("store dynoxide: DynamoDB answers"), "{}", told.stdout);
    for problem in ["store redis: ", &format!("127.0.0.1:{closed}: ")] {
        let line = told.stdout.lines().find(|line| line.contains(problem));
        let line = line.unwrap_or_else(|| panic!("{problem} isn't in\n{}", told.stdout));
        assert!(line.starts_with("store ") && line.contains("refused"), "{line}");
    }
}

#[tokio::test]
async fn a_check_tries_every_login() {
    let role = format!("checked_{}", std::process::id());
    let setup = Setup::default()
        .section(&format!("[[users]]\nname = \"limited\"\nserver_user = {role:?}"))
        .other_database("")
        .section("[[databases]]\nname = \"nowhere\"");
    let Some(world) = setup.start().await else { return };
    let config = world.config();
    let check = ["check", "--connect", config.to_str().expect("its path")];
    let told = ran(&check).await;
    assert!(!told.status.success(), "{told:?}");
    for line in [
        "database other: PostgreSQL answers".to_owned(),
        "database nowhere: database \"nowhere\" does not exist".to_owned(),
        format!("user limited, role {role}: role \"{role}\" does not exist"),
        format!("user limited, role {role} in database other: role \"{role}\" does not exist"),
    ] {
        assert!(told.stdout.lines().any(|each| each == line), "{line} isn't in\n{}", told.stdout);
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ran = ran(&["--listen", &address]).await;
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&address), "{ran:?}");
}
