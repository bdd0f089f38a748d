//! What a kind of store is: its keys in the configuration file, and how a store is opened from
//! them.
//!
//! - [`StoreKind`]: one for each `kind` that a store of the file may have. It describes its keys as
//!   JSON schemas, reads them and reports the mistakes in them.
//! - [`Configured`]: a store as the file describes it. It reads its tables' own keys, and is
//!   opened.
//! - [`Section`]: the part of the file that is being read, where mistakes are reported.
//! - [`layout`]: the keys that Redis and what stands in for it have in common.
//!
//! The program lists its kinds once. The configuration's schema, the reader of the file, the
//! composition of the gateway and the tests go through that list, so a new kind is a crate and a
//! line in it.

mod choices;
mod configured;
mod keys;
mod kind;
pub mod layout;
mod secret;
mod section;

pub use choices::{CommonIndex, CommonTable, TableChoices};
pub use configured::{Closing, Configured, OpenError, Opened};
pub use keys::Keys;
pub use kind::{Kinds, Place, StoreKind};
pub use secret::{Secret, SecretFile, SecretSource};
pub use section::{Page, Section};
