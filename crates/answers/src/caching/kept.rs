//! What the databases of a gateway share of their answers.

use std::sync::Arc;

use flywheel_cache::Cache;

use crate::options::{CacheRule, Options};
use crate::sharing::Sharing;

/// What the databases of a gateway share.
#[derive(Debug)]
pub struct Kept {
    /// The answers.
    pub cache: Arc<Cache>,
    pub(super) rules: Arc<[CacheRule]>,
    pub(super) sharing: Option<Arc<Sharing>>,
}

impl Kept {
    /// `None` where there is no rule.
    pub fn new(options: &Options) -> Option<Arc<Self>> {
        let rules: Arc<[CacheRule]> = options.cache.clone().into();
        let longest = rules.iter().map(|rule| rule.max_result_size).max()?;
        Some(Arc::new(Self {
            cache: Cache::new(
                options.cache_memory,
                u64::try_from(longest).unwrap_or(u64::MAX),
                rules.len(),
            ),
            rules,
            sharing: options.sharing.clone().map(Sharing::new),
        }))
    }
}
