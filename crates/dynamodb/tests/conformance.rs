//! The suite that every store passes, against an embedded DynamoDB and against the endpoints in
//! `FLYWHEEL_TEST_DYNAMODB`.

mod world;

use std::sync::Arc;

use flywheel_store::conformance::Suite;
use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let world = World::start().await;
    let suite = Suite::new(Arc::new(world.store.clone()), "conformance");
    suite.check().await;
    suite.check_indexes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints() {
    for world in World::endpoints().await {
        let suite = Suite::new(Arc::new(world.store.clone()), "conformance");
        suite.check().await;
        suite.check_indexes().await;
    }
}
