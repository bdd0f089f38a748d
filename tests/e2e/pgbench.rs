//! pgbench, which comes with PostgreSQL: every transaction that it counts is there afterwards, in
//! all three protocols.

use flywheel_tests::World;
use flywheel_tests::child::{psql_command, run};
use flywheel_tests::world::column;
use tokio::process::Command;

const CLIENTS: u32 = 8;
const EACH: u32 = 25;

/// Debian keeps it in the folder of its version.
fn pgbench() -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin/pgbench"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    Command::new(found.pop().unwrap_or_else(|| "pgbench".into()))
}

#[tokio::test]
async fn counts_what_is_there() {
    let Some(world) = World::start().await else { return };
    run(pgbench().args(["--initialize", "--quiet", &world.url()])).await.well();
    let (clients, each) = (CLIENTS.to_string(), EACH.to_string());
    let mut done = 0;
    for protocol in ["simple", "extended", "prepared"] {
        for builtin in ["tpcb-like", "simple-update", "select-only"] {
            let arguments = [
                "--no-vacuum",
                "--client",
                &clients,
                "--transactions",
                &each,
                "--protocol",
                protocol,
                "--builtin",
                builtin,
            ];
            let told = run(pgbench().args(arguments).arg(world.url())).await.well().stdout;
            let all = format!("number of transactions actually processed: {0}/{0}", CLIENTS * EACH);
            assert!(
                told.contains(&all) && told.contains("number of failed transactions: 0"),
                "{told}"
            );
            done += if builtin == "select-only" { 0 } else { CLIENTS * EACH };
        }
    }
    let behind = world.behind().await;
    assert_eq!(column(&behind, "SELECT count(*) FROM pgbench_history").await, [done.to_string()]);
    let same = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)";
    assert_eq!(column(&behind, same).await, ["t"]);
    // Its pipelines, with a script of its own.
    let script = world.folder().join("pipeline.sql");
    let pipeline = "\\startpipeline\nSELECT 1;\nINSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (0, 0, 0, 0);\nSELECT 2;\n\\endpipeline\n";
    std::fs::write(&script, pipeline).expect("a script");
    for protocol in ["extended", "prepared"] {
        let arguments = [
            "--no-vacuum",
            "--client",
            &clients,
            "--transactions",
            &each,
            "--protocol",
            protocol,
            "--file",
        ];
        run(pgbench().args(arguments).arg(&script).arg(world.url())).await.well();
    }
    let piped = "SELECT count(*) FROM pgbench_history WHERE tid = 0";
    assert_eq!(column(&behind, piped).await, [(2 * CLIENTS * EACH).to_string()]);
    run(psql_command(&world.url()).args(["--command", "DROP TABLE pgbench_history"])).await.well();
}
