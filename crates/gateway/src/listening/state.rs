//! What the hub and those who ask it both know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::holders::Holders;

/// A channel's name.
pub(crate) type Channel = Arc<str>;

/// The number of something that the hub has heard.
pub(crate) type Moment = u64;

/// What is known of it from outside its task.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) holders: Holders,
    pub(super) listening: AtomicUsize,
    pub(super) renewals: AtomicU64,
}
