//! What a gateway is doing, for those who watch over it: Prometheus' figures over HTTP.
//!
//! - [`Operations`] takes the times of a store's operations, told by a
//!   [`flywheel_store::Observed`] that stands before the store.
//! - `collector` turns the gateway's [`Figures`](flywheel_gateway::figures::Figures), which know
//!   nothing of Prometheus, into families of metrics at each scrape.
//! - `process` is what is known of the process itself.
//! - [`Exporter`] serves all of them as `/metrics`, and `/healthz`.
//!
//! Labels are bounded by the configuration: no text of a client's is one.

mod collector;
mod exporter;
mod families;
mod operations;
mod process;

pub use exporter::Exporter;
pub use operations::Operations;
