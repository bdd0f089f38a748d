//! What a session is made of. Each part owns its fields and their rules, and none knows the
//! session: that coordinates them.

mod asking;
mod batch;
mod cached;
mod cursors;
mod guarding;
mod identity;
mod idle;
mod learning;
mod listening;
mod locking_cursors;
mod phase;
mod pins;
mod prepared;
mod replicas;
mod reported;
mod reports;
mod settings;
mod transaction;
mod upstream;
mod writes;

pub(super) use batch::{Batch, Message, Renewal};
pub(super) use cached::{Cached, put, put_formats};
pub(super) use guarding::Guarding;
pub(crate) use identity::Identity;
pub(super) use idle::{idle, timed_out};
pub(super) use learning::Learning;
pub(super) use listening::{Listening, Listens};
pub(super) use phase::Phase;
pub(super) use pins::{Pins, creates_temporary, may_create_temporary};
pub(super) use prepared::Prepared;
pub(super) use replicas::Reading;
pub(super) use reported::CLIENT_ENCODING;
pub(super) use settings::{CONFORMING_STRINGS, Resets, SessionSettings, Told};
pub(super) use transaction::Transaction;
pub(super) use upstream::Upstream;
pub(super) use writes::Writes;
