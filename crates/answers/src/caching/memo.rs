//! What was found about a text, kept with it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use flywheel_statement::Analysis;

use super::reading::Reading;
use super::rules::{self, Hint};
use super::writing::Writing;
use crate::options::CacheRule;

/// What was made of one generation of the graph.
type OfGeneration<T> = RwLock<Option<(u64, Arc<T>)>>;

/// What was found about a text, as far as it concerns the cache.
#[derive(Debug, Default)]
pub struct Memo {
    /// For each rule: whether it is for the text. `None`: it isn't a query.
    rules: OnceLock<Option<Box<[bool]>>>,
    hint: OnceLock<Hint>,
    normal: OnceLock<String>,
    reading: OfGeneration<Reading>,
    writings: OfGeneration<[Writing]>,
}

fn known<T: ?Sized>(of: &OfGeneration<T>, generation: u64) -> Option<Arc<T>> {
    let kept = of.read().unwrap_or_else(PoisonError::into_inner);
    let (made_of, found) = kept.as_ref()?;
    (*made_of == generation).then(|| found.clone())
}

fn find<T: ?Sized>(of: &OfGeneration<T>, generation: u64, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
    if let Some(found) = known(of, generation) {
        return found;
    }
    let made = make();
    *of.write().unwrap_or_else(PoisonError::into_inner) = Some((generation, made.clone()));
    made
}

impl Memo {
    /// What was found about this text.
    pub fn of(analysis: &Analysis) -> &Self {
        analysis.note()
    }

    pub(super) fn rules(&self, analysis: &Analysis, rules: &[CacheRule]) -> Option<&[bool]> {
        let found = self.rules.get_or_init(|| {
            let hint = self.hint(analysis);
            let matching: Box<[bool]> =
                rules.iter().map(|rule| rules::matches(rule, analysis, hint)).collect();
            (rules::is_query(analysis) && matching.contains(&true)).then_some(matching)
        });
        found.as_deref()
    }

    /// What its comments ask for.
    pub fn hint(&self, analysis: &Analysis) -> &Hint {
        self.hint.get_or_init(|| Hint::of(&analysis.text))
    }

    /// The text as it is the same for all that mean the same.
    pub fn normal(&self, analysis: &Analysis) -> &str {
        self.normal.get_or_init(|| rules::normal(analysis))
    }

    pub(super) fn reading(&self, generation: u64, make: impl FnOnce() -> Reading) -> Arc<Reading> {
        find(&self.reading, generation, || Arc::new(make()))
    }

    pub(super) fn known_reading(&self, generation: u64) -> Option<Arc<Reading>> {
        known(&self.reading, generation)
    }

    pub(super) fn writings(
        &self,
        generation: u64,
        make: impl FnOnce() -> Vec<Writing>,
    ) -> Arc<[Writing]> {
        find(&self.writings, generation, || make().into())
    }
}
