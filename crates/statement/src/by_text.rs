//! What is kept by a statement's text: all of it within one budget of memory.
//!
//! Clients that write constants into their texts never send one of them again. So what is kept for
//! them must not add up, in whichever database and for whichever role it is made.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What an entry takes beside what it is said to take: its place in the table, its counters.
const OVERHEAD: usize = 256;
/// How much an entry is expected to take, which decides how many that have gone are remembered.
const USUAL: u64 = 4096;
/// Parts with a lock each, and how many of the longest entries each has room for.
const SHARDS: u64 = 16;
const LONGEST_IN_SHARD: u64 = 4;

/// Which table an entry is of, and the hash of its key there.
type Place = (u64, u64);

#[derive(Clone)]
struct Kept {
    bytes: u64,
    /// The key and its value.
    entry: Arc<dyn Any + Send + Sync>,
}

#[derive(Debug, Clone)]
struct Weights;

impl Weighter<Place, Kept> for Weights {
    fn weight(&self, _: &Place, kept: &Kept) -> u64 {
        kept.bytes
    }
}

/// The budget that all tables share.
pub struct TextMemory {
    entries: Cache<Place, Kept, Weights>,
    most_bytes: u64,
    tables: AtomicU64,
    hashing: DefaultHashBuilder,
}

impl TextMemory {
    /// At most about so many bytes.
    pub fn new(most_bytes: u64) -> Self {
        let usual = usize::try_from(most_bytes / USUAL).unwrap_or(usize::MAX).max(1);
        let shards = usize::try_from(SHARDS).unwrap_or(1);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usual)
            .weight_capacity(most_bytes)
            .build();
        let hashing = DefaultHashBuilder::default();
        let entries = match options {
            Ok(options) => {
                Cache::with_options(options, Weights, hashing.clone(), DefaultLifecycle::default())
            }
            // Both of the values that it asks for are there.
            Err(_) => Cache::with_weighter(usual, most_bytes, Weights),
        };
        Self { entries, most_bytes, tables: AtomicU64::new(0), hashing }
    }

    /// How much is kept now, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// How much may be.
    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    fn next_table(&self) -> u64 {
        self.tables.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for TextMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextMemory").field("most_bytes", &self.most_bytes).finish_non_exhaustive()
    }
}

/// A table of values that are made from texts.
#[derive(Debug)]
pub struct ByText<K, V> {
    memory: Arc<TextMemory>,
    /// Its number; another one where all of it has been forgotten.
    table: AtomicU64,
    of: PhantomData<fn(K) -> V>,
}

impl<K, V> ByText<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty one, of this budget.
    pub fn new(memory: Arc<TextMemory>) -> Self {
        Self { table: AtomicU64::new(memory.next_table()), memory, of: PhantomData }
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> Place {
        (self.table.load(Ordering::Acquire), self.memory.hashing.hash_one(key))
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let kept = self.memory.entries.get(&self.place(key))?;
        let (known, value) = kept.entry.downcast_ref::<(K, V)>()?;
        (known.borrow() == key).then(|| value.clone())
    }

    /// Keeps a value that takes about so many bytes, its key included, unless it is so long that
    /// much else would have to go for it: that is a bulk load, not a statement that comes again.
    pub fn insert(&self, key: K, value: V, bytes: usize) {
        let bytes = u64::try_from(bytes.saturating_add(OVERHEAD)).unwrap_or(u64::MAX);
        if bytes <= self.memory.most_bytes / (SHARDS * LONGEST_IN_SHARD) {
            let place = self.place(&key);
            self.memory.entries.insert(place, Kept { bytes, entry: Arc::new((key, value)) });
        }
    }

    /// Forgets all of it. The memory is taken by what is kept later.
    pub fn clear(&self) {
        self.table.store(self.memory.next_table(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_within_the_budget() {
        let memory = Arc::new(TextMemory::new(1 << 20));
        let (one, other) = (ByText::new(memory.clone()), ByText::new(memory.clone()));
        for n in 0..10_000 {
            one.insert(format!("one {n}"), n, 1000);
            other.insert(format!("other {n}"), n, 1000);
            assert!(memory.bytes() <= 1 << 20);
        }
        assert!(memory.bytes() > 1 << 19);
        assert_eq!(other.get("other 9999"), Some(9999));
        assert_eq!(other.get("one 9999"), None);
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let texts = ByText::new(Arc::new(TextMemory::new(1 << 20)));
        texts.insert("long".to_owned(), 1, 1 << 15);
        texts.insert("short".to_owned(), 2, 1 << 10);
        assert_eq!((texts.get("long"), texts.get("short")), (None, Some(2)));
    }

    #[test]
    fn what_is_forgotten_is_gone_for_its_table_only() {
        let memory = Arc::new(TextMemory::new(1 << 20));
        let (one, other) = (ByText::new(memory.clone()), ByText::new(memory));
        one.insert("a".to_owned(), 1, 10);
        other.insert("a".to_owned(), 2, 10);
        one.clear();
        assert_eq!((one.get("a"), other.get("a")), (None, Some(2)));
    }
}
