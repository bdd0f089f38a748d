//! README and the guide: every snippet does what they say.

use std::path::PathBuf;

use flywheel_tests::child::run;
use flywheel_tests::guide::follow;
use flywheel_tests::world::flywheel;
use tokio::process::Command;

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

async fn chapter(name: &str) {
    follow(&repository(&format!("crates/guide/chapters/{name}.md"))).await;
}

#[tokio::test]
async fn readme() {
    follow(&repository("README.md")).await;
}

/// A test for each chapter; `every_chapter_is_followed` finds one that is missing.
macro_rules! chapters {
    ($($test:ident = $name:literal),* $(,)?) => {
        const FOLLOWED: &[&str] = &[$($name),*];
        $(
            #[tokio::test]
            async fn $test() {
                chapter($name).await;
            }
        )*
    };
}

chapters! {
    getting_started = "getting-started",
    configuration = "configuration",
    pooling = "pooling",
    store_tables = "store-tables",
    dynamodb = "dynamodb",
    redis = "redis",
    cache = "cache",
    gateways = "gateways",
    moving_tables = "moving-tables",
    operations = "operations",
    security = "security",
}

#[test]
fn every_chapter_is_followed() {
    let names: Vec<_> = flywheel_guide::CHAPTERS.iter().map(|chapter| chapter.name).collect();
    assert_eq!(names, FOLLOWED);
}

#[tokio::test]
async fn the_guide_in_the_terminal() {
    let guide =
        async |arguments: &[&str]| run(Command::new(flywheel()).arg("guide").args(arguments)).await;
    let contents = guide(&[]).await.well().stdout;
    for chapter in flywheel_guide::CHAPTERS {
        assert!(
            contents.contains(chapter.name) && contents.contains(chapter.title()),
            "{contents}"
        );
        let printed = guide(&[chapter.name]).await.well().stdout;
        assert_eq!(printed.trim_end(), chapter.text.trim_end());
    }
    let unknown = guide(&["sharding"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(
        unknown.stderr.contains("\"sharding\"") && unknown.stderr.contains("moving-tables"),
        "{unknown:?}"
    );
}
