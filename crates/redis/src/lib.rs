//! Redis as a home for tables.
//!
//! A table in the hash layout, keyed by one column:
//!
//! ```text
//! {public.sessions:abc}              hash      token → abc, user_id → 17, …
//! ```
//!
//! Keyed by several columns, with a sorted set beside the rows of a partition that keeps the order
//! of their sort keys:
//!
//! ```text
//! {public.visits:ann}:2024-01-01:7   hash      who → ann, day → 2024-01-01, n → 7, …
//! {public.visits:ann}                zset      score 0, members in the order of (day, n)
//! ```
//!
//! In the sorted set layout, with a partition column or without:
//!
//! ```text
//! {public.leaderboard:go}            zset      member ann, score 31
//! {public.words}                     zset      member flywheel, score 12
//! ```
//!
//! In the JSON layout a row is a string, one JSON object, in the key that would be its hash:
//!
//! ```text
//! {public.profiles:ann}              string    {"id":"ann","visits":17,"settings":{"dark": true}}
//! ```
//!
//! While a transaction that has written the row is about to commit, a key beside it holds the
//! transaction's name:
//!
//! ```text
//! {public.sessions:abc}#lock         string    741-9f0c…
//! {public.visits:ann}#lock:2024-01-01:7
//! {public.leaderboard:go}#lock:ann
//! ```
//!
//! Who follows the tables' changes writes a key of its own from time to time, which expires:
//!
//! ```text
//! {#heartbeat:01f2a4c65be89d73}      string    1
//! ```
//!
//! Values in hashes and sets are the text that PostgreSQL prints; NULL is an absent field. In JSON
//! (`json` has the table of types) numbers that a double may not hold are strings. The braces keep
//! what belongs to one partition in one slot of a cluster. In a key, `%`, `:`, `{`, `}` and control
//! characters of a value are percent-encoded.
//!
//! - `key`: the names above. `row`: hashes as rows. `expiry`: the expiry column as the key's own.
//! - `read`, `range`, `sorted_set`, `scan`: the reads of the store contract.
//! - `index`: secondary indexes. `members`: what a change does to them.
//! - `write` and `scripts`: conditional changes, each request one script, so that Redis runs it as
//!   one. `document`: changes of JSON rows, which are computed here and written if the string is
//!   still the one that was read. `json`, `jsonb`: rows as JSON.
//! - `servers`: which server a request goes to. `connection`: one multiplexed connection, made anew
//!   when it is lost. `sentinel`: the primary that sentinels know. `cluster`, `slot`: a cluster's
//!   nodes and slots. `options`: what a store is made with. `error`: what an answer means.
//! - `kind`: its section of the configuration.
//! - `exchange`: what several gateways have in common.
//! - `tracking`: what anybody changes, as client tracking tells.

mod cluster;
mod connection;
mod document;
mod error;
mod exchange;
mod expiry;
mod index;
mod json;
mod jsonb;
mod key;
mod kind;
mod members;
mod options;
mod range;
mod read;
mod row;
mod scan;
mod script;
mod sentinel;
mod servers;
mod slot;
mod sorted_set;
mod store;
mod tracking;
mod write;

pub use exchange::RedisExchange;
pub use kind::RedisKind;
pub use options::{Certificates, RedisOptions, Topology};
pub use store::RedisStore;
