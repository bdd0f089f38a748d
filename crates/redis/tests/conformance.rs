//! Redis keeps the contract of stores. Runs against the server at `FLYWHEEL_TEST_REDIS`
//! (`redis://127.0.0.1:6379`).

mod server;

use std::sync::Arc;

use flywheel_store::Layout;
use flywheel_store::conformance::Suite;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(url) = server::shared() else { return };
    let suite = Suite::new(Arc::new(server::store(&url, "suite:")), "contract");
    suite.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_with_rows_as_json() {
    let Some(url) = server::shared() else { return };
    let suite = Suite::new(Arc::new(server::store(&url, "suite:")), "json");
    suite.in_layout(Layout::Json).check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_indexes() {
    let Some(url) = server::shared() else { return };
    for (prefix, layout) in [("indexed", Layout::Hash), ("indexed_json", Layout::Json)] {
        let suite = Suite::new(Arc::new(server::store(&url, "suite:")), prefix);
        suite.in_layout(layout).check_indexes().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_of_sorted_sets() {
    let Some(url) = server::shared() else { return };
    let suite = Suite::new(Arc::new(server::store(&url, "suite:")), "sets");
    suite.check_sorted_sets().await;
}
