//! The client's side: its socket, its login, its cancel requests.

mod authentication;
mod client;
mod registry;
mod replication;
mod startup;
mod stream;

pub(crate) use authentication::Authenticator;
pub(crate) use client::{Client, ClientError, Mark};
pub(crate) use registry::{Registered, Registry};
pub(crate) use replication::{check as check_replication, replicate};
pub(crate) use startup::{Login, Purpose, receive};
