//! Cache rules on what can't be followed: they are refused when that is known at the start, and not
//! used when it turns out later.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use flywheel_tests::cache::shown;
use flywheel_tests::proxy::{Network, Proxy};
use flywheel_tests::world::{Process, column, connect, flywheel};
use flywheel_tests::{Setup, World};

/// A server that isn't asked for anything, and what can and what can't be followed.
const DEFINITIONS: &str = "CREATE TABLE plain (id int PRIMARY KEY);
    CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
    CREATE FOREIGN TABLE far (id int) SERVER nowhere; CREATE VIEW near AS SELECT * FROM far;
    CREATE FUNCTION made() RETURNS int STABLE LANGUAGE plpgsql AS $$ DECLARE found int; BEGIN EXECUTE 'SELECT 1' INTO found; RETURN found; END $$;
    CREATE VIEW dynamic AS SELECT made() AS id;
    CREATE VIEW chance AS SELECT random();
    CREATE TABLE bare (id int); CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1'; RETURN NEW; END $$;
    CREATE TABLE audited (id int PRIMARY KEY);
    CREATE TRIGGER audit BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION audit()";

/// The configuration of a world with a rule added.
fn with_rule(world: &World, name: &str, rule: &str) -> PathBuf {
    let config = std::fs::read_to_string(world.config()).expect("the configuration");
    let path = world.folder().join(name);
    std::fs::write(&path, format!("{config}\n[[cache]]\nttl = \"1h\"\n{rule}\n"))
        .expect("a configuration");
    path
}

fn rule(table: &str, invalidate: &str) -> String {
    format!("when = {{ tables = [\"plain\", \"{table}\"] }}\ninvalidate = \"{invalidate}\"")
}

/// Starts a gateway that ends by itself.
async fn ended(config: &Path) -> Output {
    let mut command = Command::new(flywheel());
    command.arg("--config").arg(config).env("NO_COLOR", "1");
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended =
        tokio::time::timeout(Duration::from_secs(120), ended).await.expect("it ends by itself");
    ended.expect("its end").expect("flywheel")
}

/// Line and column of a text in a file.
fn position(config: &Path, text: &str) -> (usize, usize) {
    let config = std::fs::read_to_string(config).expect("the configuration");
    let found = config
        .lines()
        .enumerate()
        .find_map(|(line, content)| Some((line + 1, content.find(text)? + 1)));
    found.unwrap_or_else(|| panic!("{text} isn't there"))
}

/// A column of SHOW CACHE's first row.
#[tokio::test]
async fn what_cannot_be_followed_is_refused_at_the_start() {
    let Some(world) = World::start().await else { return };
    world.behind().await.batch_execute(DEFINITIONS).await.expect("definitions");
    let refused = [
        ("far", "writes", "writes to \"public.far\" can't be followed: foreign table public.far"),
        ("near", "writes", "writes to \"public.near\" can't be followed: foreign table public.far"),
        (
            "dynamic",
            "writes",
            "writes to \"public.dynamic\" can't be followed: function made() executes texts that it makes",
        ),
        ("near", "replication", "changes of \"public.near\" can't be followed: it isn't a table"),
        (
            "parent",
            "replication",
            "changes of \"public.parent\" can't be followed: other tables inherit from it",
        ),
        (
            "bare",
            "replication",
            "changes of \"public.bare\" can't be followed: table bare has no replica identity; give it a primary key",
        ),
        (
            "unlogged",
            "replication",
            "changes of \"public.unlogged\" can't be followed: table unlogged isn't logged; ALTER TABLE",
        ),
    ];
    for (table, invalidate, why) in refused {
        let config = with_rule(&world, "refused.toml", &rule(table, invalidate));
        let (line, column) = position(&config, &format!("\"{table}\""));
        let output = ended(&config).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let place = format!("{}:{line}:{column}: cache rule 1: {why}", config.display());
        assert!(told.contains(&place), "{place} isn't in\n{told}");
        assert!(told.contains("write invalidate = \"none\" in this rule"), "{told}");
        assert!(told.contains("1 mistake in"), "{told}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("listening on"));
        // `flywheel check` says the same.
        let mut check = Command::new(flywheel());
        let checked =
            check.args(["check", "--connect"]).arg(&config).output().expect("flywheel check");
        assert_eq!(checked.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&checked.stdout).contains(&place), "{checked:?}");
        // With nothing to follow there is nothing to refuse.
        let config = with_rule(&world, "accepted.toml", &rule(table, "none"));
        Process::start(["--config".as_ref(), config.as_os_str()]).await;
    }
    // In another database of the gateway's.
    let elsewhere =
        format!("[[databases]]\nname = \"more\"\ndbname = \"{}\"\n", world.primary().name());
    let config = with_rule(
        &world,
        "more.toml",
        &format!("{}\n{elsewhere}", "when = { tables = [\"far\"], database = \"more\" }"),
    );
    let told = ended(&config).await;
    assert!(
        String::from_utf8_lossy(&told.stderr)
            .contains("writes to \"public.far\" can't be followed"),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_is_only_of_less_use_is_told() {
    let Some(world) = World::start().await else { return };
    world.behind().await.batch_execute(DEFINITIONS).await.expect("definitions");
    for (table, invalidate, why) in [
        ("missing", "writes", "there is no table \"public.missing\""),
        ("missing", "replication", "there is no table \"public.missing\""),
        (
            "chance",
            "writes",
            "answers from \"public.chance\" can't be kept: function random() is volatile",
        ),
        (
            "audited",
            "writes",
            "a write to \"public.audited\" runs what can't be followed, and ends every answer",
        ),
    ] {
        let config = with_rule(&world, "told.toml", &rule(table, invalidate));
        let gateway = Process::start(["--config".as_ref(), config.as_os_str()]).await;
        let wanted = format!("cache rule 1: {why}");
        let log = gateway.log();
        assert!(
            log.iter().any(|line| line.contains("WARN") && line.contains(&wanted)),
            "{wanted} isn't in {log:#?}"
        );
        let client = connect(&format!("postgres://postgres@{}/app", gateway.address())).await;
        assert!(
            shown(&client, "problems").await.contains(why),
            "{}",
            shown(&client, "problems").await
        );
        // The rest of the rule is in use.
        if invalidate == "writes" {
            for _ in 0..2 {
                column(&client, "SELECT id FROM plain").await;
            }
            assert_eq!(shown(&client, "hits").await, "1", "{table}");
        }
    }
}

#[tokio::test]
async fn what_turns_out_later_is_not_used() {
    let Some(world) = World::start().await else { return };
    let behind = world.behind().await;
    behind.batch_execute(DEFINITIONS).await.expect("definitions");
    // PostgreSQL can't be asked when the gateway starts.
    let proxy = Proxy::to(world.primary().address()).await;
    proxy.becomes(Network::Down);
    let config = with_rule(&world, "later.toml", &rule("dynamic", "writes"));
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let text = text.replacen(world.primary().address(), &proxy.address().to_string(), 1);
    std::fs::write(&config, text).expect("the configuration");
    let gateway = Process::start(["--config".as_ref(), config.as_os_str()]).await;
    assert!(
        gateway.log().iter().any(|line| line.contains("the cache rules aren't checked")),
        "{:#?}",
        gateway.log()
    );
    proxy.becomes(Network::Up);
    let client = connect(&format!("postgres://postgres@{}/app", gateway.address())).await;
    for _ in 0..3 {
        assert_eq!(column(&client, "SELECT id FROM dynamic").await, ["1"]);
    }
    assert_eq!(shown(&client, "hits").await, "0");
    let why = "writes to \"public.dynamic\" can't be followed: function made() executes texts that it makes";
    assert_eq!(shown(&client, "problems").await, why);
    assert!(gateway.log().iter().any(|line| line.contains(why)), "{:#?}", gateway.log());
    // What is changed by the operator is in use without a new start, and the other way round.
    client
        .batch_execute(
            "CREATE OR REPLACE VIEW dynamic AS SELECT id FROM plain; INSERT INTO plain VALUES (1)",
        )
        .await
        .expect("a view");
    for _ in 0..2 {
        column(&client, "SELECT id FROM dynamic").await;
    }
    assert_eq!(
        (shown(&client, "hits").await.as_str(), shown(&client, "problems").await.as_str()),
        ("1", "")
    );
    client
        .batch_execute("CREATE OR REPLACE VIEW dynamic AS SELECT made() AS id")
        .await
        .expect("a view");
    for _ in 0..2 {
        column(&client, "SELECT id FROM dynamic").await;
    }
    assert_eq!(
        (shown(&client, "hits").await.as_str(), shown(&client, "problems").await.as_str()),
        ("1", why)
    );
}

#[tokio::test]
async fn a_stream_that_does_not_come_about_is_told() {
    let rule =
        "[[cache]]\nttl = \"1h\"\nwhen = { tables = [\"late\"] }\ninvalidate = \"replication\"";
    let Some(world) = Setup::default().section(rule).start().await else {
        return;
    };
    let (client, behind) = (world.gateway().await, world.behind().await);
    let until = async |wanted: &str| {
        for _ in 0..600 {
            let problems = shown(&client, "problems").await;
            if problems.contains(wanted) && (!wanted.is_empty() || problems.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not in a minute: {wanted}: {}", shown(&client, "problems").await);
    };
    until("table public.late doesn't exist; create it, or take it out of the rule").await;
    behind.batch_execute("CREATE TABLE late (id int)").await.expect("a table");
    until("table late has no replica identity").await;
    client.batch_execute("ALTER TABLE late ADD PRIMARY KEY (id)").await.expect("a key");
    until("").await;
}
