//! A kind of store from a crate of its own: CSV files, which are read only.

use std::path::Path;

use flywheel_tests::child::run;
use flywheel_tests::world::{column, flywheel_with_csv};
use flywheel_tests::{Home, Setup, Told, World};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_postgres::Client;

const COUNTRIES: &str = "name,code,people,in_union\n\
    Norway,no,5600000,f\n\
    \"Germany, Federal Republic of\",de,83500000,t\n\
    \"\",xx,,f\n\
    France,fr,68000000,t\n";
const VISITS: &str = "person;day;country\nada;1;no\nada;2;fr\nada;3;no\nbob;1;de\n";

/// `countries` and `visits` in CSV files, `people` in PostgreSQL and `cities` in memory.
async fn world() -> Option<(World, TempDir, Client)> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("public.countries.csv"), COUNTRIES).expect("a file");
    std::fs::write(folder.path().join("visits.csv"), VISITS).expect("a file");
    let stores = format!(
        "[stores.files]\nkind = \"csv\"\nfolder = {:?}\n\
         [[tables]]\nname = \"public.countries\"\nstore = \"files\"\n\
         [[tables]]\nname = \"public.visits\"\nstore = \"files\"\nphysical_name = \"visits\"\nseparator = \";\"\n",
        folder.path()
    );
    let world = Setup::default()
        .with_csv()
        .table("public.cities", Home::Memory)
        .section(&stores)
        .start()
        .await?;
    let client = world.gateway().await;
    client
        .batch_execute(
            "CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, people bigint, in_union boolean);
             CREATE TABLE visits (person text, day int, country text, PRIMARY KEY (person, day));
             CREATE TABLE people (name text PRIMARY KEY, born int);
             INSERT INTO people VALUES ('ada', 1815), ('bob', 1990);
             CREATE TABLE cities (name text PRIMARY KEY, country text);
             INSERT INTO cities VALUES ('Oslo', 'no'), ('Berlin', 'de')",
        )
        .await
        .expect("tables");
    Some((world, folder, client))
}

/// What the files hold, told by plain PostgreSQL, which has read them by COPY.
async fn oracle(world: &World) -> Client {
    let client = world.oracle().await;
    let rows = |file: &str| {
        let lines = file.lines().skip(1).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let mut sql = String::from(
        "CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, people bigint, in_union boolean);
         INSERT INTO countries VALUES ('no', 'Norway', 5600000, 'f'), ('de', 'Germany, Federal Republic of', 83500000, 't'),
                                      ('xx', '', NULL, 'f'), ('fr', 'France', 68000000, 't');
         CREATE TABLE visits (person text, day int, country text, PRIMARY KEY (person, day));
         CREATE TABLE people (name text PRIMARY KEY, born int);
         INSERT INTO people VALUES ('ada', 1815), ('bob', 1990);
         CREATE TABLE cities (name text PRIMARY KEY, country text);
         INSERT INTO cities VALUES ('Oslo', 'no'), ('Berlin', 'de');",
    );
    for line in rows(VISITS) {
        let fields: Vec<_> = line.split(';').collect();
        sql.push_str(&format!("INSERT INTO visits VALUES ('{}');", fields.join("', '")));
    }
    client.batch_execute(&sql).await.expect("the same rows");
    client
}

/// The file is as it was.
fn unchanged(folder: &Path) {
    let now = std::fs::read_to_string(folder.join("public.countries.csv")).expect("the file");
    assert_eq!(now, COUNTRIES);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_lists_the_store_and_its_tables() {
    let Some((world, _folder, _client)) = world().await else { return };
    let mut check = Command::new(flywheel_with_csv());
    check.args(["check".as_ref(), "--connect".as_ref(), world.config().as_os_str()]);
    let told = run(&mut check).await.well().stdout;
    for line in [
        "store files: CSV answers",
        "table public.countries: fits its home in store files",
        "table public.visits: fits its home in store files",
    ] {
        assert!(told.lines().any(|each| each == line), "{line:?} in {told}");
    }
    let schema = run(Command::new(flywheel_with_csv()).arg("schema")).await.well().stdout;
    assert!(
        schema.contains("\"const\": \"csv\"") && schema.contains("For CSV: what stands between")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_its_keys_are_told_at_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flywheel.toml");
    let text = "auth = \"trust\"\n\
        [stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\n\
        [stores.files]\nkind = \"csv\"\nfolder = \"nowhere\"\n\
        [stores.more]\nkind = \"csv\"\nfolder = \".\"\n\
        [stores.fast]\nkind = \"memory\"\n\
        [[tables]]\nname = \"a\"\nstore = \"more\"\nseparator = \"::\"\n\
        [[tables]]\nname = \"b\"\nstore = \"fast\"\nseparator = \";\"\n";
    std::fs::write(&file, text).expect("a file");
    let mut check = Command::new(flywheel_with_csv());
    check.args(["check".as_ref(), file.as_os_str()]).env("NO_COLOR", "1");
    let told = run(&mut check).await.stderr;
    let at = |line: usize, column: usize, what: &str| {
        let head = format!("{}:{line}:{column}: {what}", file.display());
        assert!(told.contains(&head), "{head} in {told}");
    };
    at(7, 10, &format!("{} isn't a folder", folder.path().join("nowhere").display()));
    at(16, 13, "not a separator of fields");
    at(20, 13, "`separator` means nothing in a memory store");
    assert!(told.contains("it is for CSV: leave it out"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_read_and_joined() {
    let Some((world, _folder, client)) = world().await else { return };
    let oracle = oracle(&world).await;
    for sql in [
        "SELECT name FROM countries WHERE code = 'de'",
        "SELECT name FROM countries WHERE code IN ('no', 'xx', 'zz') ORDER BY 1",
        "SELECT code || coalesce(people::text, 'none') FROM countries WHERE name = ''",
        "SELECT day || country FROM visits WHERE person = 'ada' AND day >= 2 ORDER BY day DESC",
        "SELECT sum(people) FROM countries WHERE in_union",
        "SELECT p.name || c.name || p.born FROM people p JOIN visits v ON v.person = p.name \
         JOIN countries c ON c.code = v.country ORDER BY p.name, v.day",
        "SELECT t.name || c.people FROM cities t JOIN countries c ON c.code = t.country ORDER BY 1",
        "SELECT count(*) FROM countries c LEFT JOIN visits v ON v.country = c.code WHERE v.day IS NULL",
    ] {
        let expected = column(&oracle, sql).await;
        assert!(!expected.is_empty(), "{sql}");
        assert_eq!(column(&client, sql).await, expected, "{sql}");
    }
    let copied = "INSERT INTO people SELECT code, people FROM countries WHERE people < 1e9 / 100";
    client.batch_execute(copied).await.expect("rows of the files go elsewhere");
    assert_eq!(column(&client, "SELECT born FROM people WHERE name = 'no'").await, ["5600000"]);
    let plan = column(&client, "EXPLAIN SELECT name FROM countries WHERE code = 'de'").await;
    assert!(
        plan.iter().any(|line| line.contains("lines by key of public.countries.csv")),
        "{plan:?}"
    );
}

const READ_ONLY: &str =
    "table \"public.countries\" can't be written to: its store \"files\" (CSV) is read only";

/// A statement, and EXPLAIN of it where there is such a thing, is refused before it begins.
async fn refused(client: &Client, sql: &str, explained: bool, message: &str, hint: &str) {
    let mut texts = vec![sql.to_owned()];
    if explained {
        texts.push(format!("EXPLAIN {sql}"));
        texts.push(format!("EXPLAIN ANALYZE {sql}"));
        texts.push(format!("PREPARE refused AS {sql}"));
    }
    for text in texts {
        let told = Told::of(client, &text).await;
        assert_eq!((told.code.as_str(), told.message.as_str()), ("0A000", message), "{text}");
        assert!(told.hint.contains(hint), "{text}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_rows_are_refused_when_planned() {
    let Some((_world, folder, client)) = world().await else { return };
    for sql in [
        "INSERT INTO countries VALUES ('se', 'Sweden', 1, true)",
        "INSERT INTO countries (code, name) SELECT name, name FROM people",
        "INSERT INTO countries VALUES ('no', '') ON CONFLICT DO NOTHING",
        "UPDATE countries SET people = people + 1 WHERE code = 'no'",
        "UPDATE countries SET name = upper(name)",
        "UPDATE countries SET people = 0 WHERE false",
        "DELETE FROM countries WHERE code = 'no'",
        "DELETE FROM countries USING people",
        "MERGE INTO countries USING people ON false WHEN NOT MATCHED THEN INSERT VALUES ('a', 'b')",
        "WITH gone AS (DELETE FROM countries RETURNING *) SELECT count(*) FROM gone",
    ] {
        refused(&client, sql, true, READ_ONLY, "Change the rows at their source").await;
    }
    for sql in ["TRUNCATE countries", "TRUNCATE people, countries", "COPY countries FROM STDIN"] {
        refused(&client, sql, false, READ_ONLY, "Change the rows at their source").await;
    }
    assert_eq!(column(&client, "SELECT count(*) FROM people").await, ["2"]);
    // Prepared, it is refused when it is parsed.
    let told = Told::by(client.prepare("DELETE FROM countries WHERE code = $1").await);
    assert_eq!((told.code.as_str(), told.message.as_str()), ("0A000", READ_ONLY));
    unchanged(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_fails_at_the_refused_statement() {
    let Some((_world, folder, client)) = world().await else { return };
    client.batch_execute("BEGIN; INSERT INTO cities VALUES ('Paris', 'fr')").await.expect("begun");
    Told::of(&client, "DELETE FROM countries").await.is("0A000", &["is read only"]);
    Told::of(&client, "SELECT 1").await.is("25P02", &[]);
    client.batch_execute("COMMIT").await.expect("rolled back");
    assert_eq!(column(&client, "SELECT count(*) FROM cities").await, ["2"]);
    unchanged(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_definition_and_its_locks_are_refused() {
    let Some((_world, folder, client)) = world().await else { return };
    let altered = "table \"public.countries\" can't be altered: its store \"files\" (CSV) doesn't define its tables";
    for sql in
        ["ALTER TABLE countries ADD COLUMN area int", "ALTER TABLE countries DROP COLUMN people"]
    {
        refused(&client, sql, false, altered, "DROP TABLE and CREATE TABLE").await;
    }
    let locked = "rows of table \"public.countries\" can't be locked: its store \"files\" (CSV) has no row locks";
    for sql in [
        "SELECT * FROM countries WHERE code = 'no' FOR UPDATE",
        "SELECT * FROM countries FOR SHARE",
    ] {
        refused(&client, sql, true, locked, "Leave FOR UPDATE or FOR SHARE out").await;
    }
    unchanged(folder.path());
}

/// The rows are somebody else's: DROP TABLE and CREATE TABLE concern PostgreSQL alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_keeps_its_file() {
    let Some((_world, folder, client)) = world().await else { return };
    client.batch_execute("DROP TABLE countries").await.expect("dropped");
    unchanged(folder.path());
    Told::of(&client, "SELECT * FROM countries").await.is("42P01", &[]);
    client
        .batch_execute("CREATE TABLE countries (code text PRIMARY KEY, people bigint)")
        .await
        .expect("made anew");
    assert_eq!(column(&client, "SELECT count(people) FROM countries").await, ["3"]);
}

/// What isn't a row of the table is an error, not a row that is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_fit_is_an_error() {
    let Some((_world, folder, client)) = world().await else { return };
    let file = folder.path().join("public.countries.csv");
    for (content, word) in [
        ("name,code,people,in_union\nNorway,no,many,f\n", "people"),
        ("name,code,people,in_union\n,no,1,f\n", "name"),
        ("name,code,people\nNorway,no,1\n", "in_union"),
        ("name,code,people,in_union\nNorway,no,1,f\nNorge,no,1,f\n", "twice"),
        ("name,code,people,in_union\n\"Norway,no,1,f\n", "line"),
    ] {
        std::fs::write(&file, content).expect("a file");
        let error = client.batch_execute("SELECT count(*) FROM countries").await;
        let told = Told::by(error);
        assert!(told.message.contains(word) || told.hint.contains(word), "{content}: {told:?}");
    }
}
