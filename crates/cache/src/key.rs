//! Keys of answers, hashed once.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use quick_cache::{DefaultHashBuilder, Equivalent};

/// What hashes keys: with a seed of its own, since clients choose what is in them.
pub(crate) type Hashing = DefaultHashBuilder;

/// A key that is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'k> {
    pub(crate) hash: u64,
    bytes: &'k [u8],
}

/// A key that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) hash: u64,
    bytes: Arc<[u8]>,
}

impl<'k> Asked<'k> {
    pub(crate) fn new(hashing: &Hashing, bytes: &'k [u8]) -> Self {
        let mut hasher = hashing.build_hasher();
        hasher.write(bytes);
        Self { hash: hasher.finish(), bytes }
    }

    pub(crate) fn keep(self) -> Key {
        Key { hash: self.hash, bytes: self.bytes.into() }
    }
}

impl Key {
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { hash: self.hash, bytes: &self.bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.hash == key.hash && *self.bytes == *key.bytes
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
