//! A kind of store.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;

use crate::{Configured, Keys, Section};

/// The kinds of a program, in the order in which they are listed to users.
pub type Kinds<'k> = &'k [&'static dyn StoreKind];

/// A kind of store that can be home to tables.
pub trait StoreKind: Send + Sync + Debug {
    /// The value of `kind` in the file: `redis`.
    fn name(&self) -> &'static str;

    /// Its name in sentences: `Redis`. Kinds that speak to the same thing may share it.
    fn title(&self) -> &'static str;

    /// Its own keys.
    fn keys(&self) -> Keys;

    /// Where a store of this kind keeps its data on this machine, if it does.
    fn place(&self) -> Option<Place> {
        None
    }

    /// Whether gateways can have something in common over such a store
    /// ([`Configured::exchange`]).
    fn can_share(&self) -> bool {
        false
    }

    /// A store by the keys of its section, which are as [`Keys::store`] says. Mistakes are reported
    /// to the section; a configuration with a mistake isn't used.
    ///
    /// # Errors
    /// The keys aren't as the schema says.
    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error>;
}

/// Where a store keeps its data. No two stores of a file may have the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The key of its section that says it, relative to the file's folder.
    pub key: &'static str,
    /// What it is called in the folder given with `--data`.
    pub name: &'static str,
}
