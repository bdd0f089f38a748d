//! What a gateway is doing, for those who watch over it: Prometheus' figures over HTTP.
//!
//! - [`Measured`] stands before a store and takes the time of its operations; neither the store nor who asks it knows.
//! - `collector` turns the gateway's [`Figures`](flywheel_gateway::figures::Figures), which know nothing of Prometheus, into families of metrics at each
//!   scrape.
//! - `process` is what is known of the process itself.
//! - [`Exporter`] serves all of them as `/metrics`, and `/healthz`.
//!
//! Labels are bounded by the configuration: no text of a client's is one.

mod collector;
mod exporter;
mod families;
mod measured;
mod operations;
mod process;

pub use exporter::Exporter;
pub use measured::Measured;
pub use operations::Operations;
