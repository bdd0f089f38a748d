//! The memory store keeps the contract of stores.

use std::sync::Arc;

use flywheel_memory::MemoryStore;
use flywheel_store::Layout;
use flywheel_store::conformance::Suite;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let suite = Suite::new(Arc::new(MemoryStore::new()), "suite");
    suite.check().await;
    suite.check_sorted_sets().await;
    suite.check_indexes().await;
    suite.in_layout(Layout::Json).check().await;
}
