//! What each distinct text is, found once.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use flywheel_sql::{SessionEffect, Statement, split};
use flywheel_types::TableName;
use quick_cache::sync::Cache;

/// Texts longer than this aren't kept: they are bulk loads, not statements that come again.
const MAX_CACHED_TEXT: usize = 64 * 1024;
const CACHED_TEXTS: usize = 10_000;

/// A text and its statements.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) text: String,
    pub(crate) statements: Vec<Statement>,
    /// For each statement: whether one of its words is the name of a store table, so that it must be read closely.
    pub(crate) concerns_store: Vec<bool>,
    /// Nothing in it needs the gateway: no store table, no change of the session, no transaction control.
    pub(crate) is_plain: bool,
}

impl Analysis {
    pub(crate) fn concerns_any_store(&self) -> bool {
        self.concerns_store.contains(&true)
    }

    /// The text of a statement.
    pub(crate) fn statement_text(&self, position: usize) -> &str {
        &self.text[self.statements[position].range.clone()]
    }
}

/// Analyses by text.
#[derive(Debug)]
pub(crate) struct Analyses {
    cache: Cache<String, Arc<Analysis>>,
    store_tables: RwLock<HashSet<String>>,
}

impl Analyses {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::new(CACHED_TEXTS),
            store_tables: RwLock::default(),
        }
    }

    /// Sets the names that make a statement one to be read closely: tables homed in stores, and views over them.
    pub(crate) fn set_names<'n>(&self, names: impl Iterator<Item = &'n TableName>) {
        let names: HashSet<String> = names.map(|name| name.name.clone()).collect();
        let mut known = self.store_tables.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != names {
            *known = names;
            self.cache.clear();
        }
    }

    pub(crate) fn of(&self, text: &str) -> Arc<Analysis> {
        if let Some(known) = self.cache.get(text) {
            return known;
        }
        let statements = split(text);
        let names = self.store_tables.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let concerns_store: Vec<bool> = statements
            .iter()
            .map(|statement| statement.has_word(text, |word| names.contains(word)))
            .collect();
        let is_plain = !concerns_store.contains(&true)
            && statements.iter().all(|statement| {
                statement.session == SessionEffect::None
                    && !statement.verb.is_transaction_control()
                    && !statement.verb.is_definition()
                    && !statement.has_keyword(text, "deallocate")
            });
        let analysis = Arc::new(Analysis {
            text: text.to_owned(),
            statements,
            concerns_store,
            is_plain,
        });
        if text.len() <= MAX_CACHED_TEXT {
            self.cache.insert(text.to_owned(), analysis.clone());
        }
        analysis
    }
}
