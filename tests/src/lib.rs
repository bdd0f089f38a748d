//! The world of the end-to-end tests: a gateway as its user runs it, with real servers behind it.
//!
//! - `world/`: [`World::start`] makes two fresh databases (one behind Flywheel, one plain, the
//!   *oracle*), writes a configuration, starts the `flywheel` binary and waits for it.
//! - `cluster/`: a PostgreSQL primary with replicas of its own, which a test can stop and promote.
//! - `cache`: reads SHOW CACHE.
//! - `child`: runs `psql` and drivers in other languages.
//! - `history`: whether what clients were told at the same time can be true.
//! - `port`: finds ports for servers of a test's own.
//! - `proxy`: a network that a test can cut.
//! - `differential/`: statements made at random, on plain PostgreSQL and with the tables in each
//!   home.
//! - `environment`, `shrink`: what tests with random input share.
//! - `endpoint`: a DynamoDB that throttles.
//! - `guide/`: runs the snippets of README and of the guide's chapters.
//! - `frames/`: the same messages to two servers, and where the answers part.
//! - `raw/`: a small client that keeps every byte of an answer, for comparing two servers and for
//!   sending what no driver would.
//! - `runner`: clients whose statements may wait for each other.
//! - `scrape`: what Prometheus reads of the gateway.
//! - `tls`: certificates, and a driver that uses them.
//! - `suite/`: runs the files of `tests/suites` on both and tells where the answers differ.
//!
//! The servers come from the environment, which `./test` sets. Without it every test says so and
//! returns.

pub mod cache;
pub mod child;
pub mod cluster;
pub mod differential;
pub mod endpoint;
pub mod environment;
pub mod frames;
pub mod gate;
pub mod guide;
pub mod history;
pub mod port;
pub mod proxy;
pub mod raw;
pub mod runner;
pub mod scrape;
pub mod shrink;
pub mod suite;
pub mod tls;
pub mod world;

pub use cluster::Cluster;
pub use world::{Home, Setup, Table, Told, World};
