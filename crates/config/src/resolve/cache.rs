//! `[[cache]]`

use std::time::Duration;

use flywheel_types::TableName;

use super::{Known, Resolver};
use crate::config::{CacheRule, Store};
use crate::file::{self, InvalidateName};

const MAX_RESULT_SIZE: u64 = 1 << 20;

impl Resolver<'_> {
    pub(super) fn cache(&mut self, rules: &[Option<file::CacheRule>], known: &Known<'_>, main: Option<&str>) -> Vec<CacheRule> {
        let rules = rules.iter().enumerate().filter_map(|(at, rule)| Some((at, rule.as_ref()?)));
        rules
            .map(|(at, rule)| self.cache_rule(&at.to_string(), rule, known, main))
            .collect()
    }

    fn cache_rule(&mut self, at: &str, rule: &file::CacheRule, known: &Known<'_>, main: Option<&str>) -> CacheRule {
        let when = &rule.when;
        if self.count(&["cache", at, "when"]) == 0 {
            self.mistake(
                &["cache", at, "when"],
                "a cache rule without a condition",
                "give at least one of tables, user, database, pattern, fingerprint, hint",
            );
        }
        if let Some(name) = &when.user {
            self.is_user(&["cache", at, "when", "user"], name, known);
        }
        if let Some(name) = &when.database {
            self.is_database(&["cache", at, "when", "database"], name, known, main);
        }
        let size = rule.max_result_size.as_ref();
        let size = size.map_or(Some(MAX_RESULT_SIZE), |size| self.bytes(&["cache", at, "max_result_size"], size));
        CacheRule {
            tables: self.cache_tables(at, when.tables.as_deref()),
            user: when.user.clone(),
            database: when.database.clone(),
            pattern: when.pattern.clone(),
            fingerprint: when.fingerprint.as_deref().and_then(|text| self.fingerprint(at, text)),
            hint: when.hint,
            ttl: self.duration(&["cache", at, "ttl"], Some(&rule.ttl), "1s"),
            stale_while_revalidate: self.time_after(at, "stale_while_revalidate", rule.stale_while_revalidate.as_deref()),
            stale_if_error: self.time_after(at, "stale_if_error", rule.stale_if_error.as_deref()),
            by_writes: rule.invalidate != Some(InvalidateName::None),
            max_result_size: size.and_then(|size| usize::try_from(size).ok()).unwrap_or_default(),
        }
    }

    fn time_after(&mut self, at: &str, key: &str, text: Option<&str>) -> Duration {
        text.map_or(Duration::ZERO, |text| self.duration(&["cache", at, key], Some(text), "1s"))
    }

    fn cache_tables(&mut self, at: &str, names: Option<&[Option<String>]>) -> Vec<TableName> {
        if names.is_some_and(<[_]>::is_empty) {
            self.mistake(
                &["cache", at, "when", "tables"],
                "a cache rule for no tables",
                "name at least one, or leave the key out: any",
            );
        }
        let names = names.unwrap_or_default().iter().enumerate();
        names
            .filter_map(|(place, name)| self.table_name(&["cache", at, "when", "tables", &place.to_string()], name.as_ref()?))
            .collect()
    }

    fn fingerprint(&mut self, at: &str, text: &str) -> Option<u64> {
        let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        if number.is_none() {
            self.mistake(
                &["cache", at, "when", "fingerprint"],
                format!("\"{text}\" isn't a fingerprint"),
                "write the 16 digits that EXPLAIN of the statement tells through Flywheel",
            );
        }
        number
    }

    /// Reports a database that isn't served.
    fn is_database(&mut self, path: &[&str], name: &str, known: &Known<'_>, main: Option<&str>) {
        let of_url = known.primary.map(|primary| match &known.stores[primary] {
            Store::Postgres(postgres) => postgres.url.database.as_str(),
            _ => "flywheel",
        });
        // With a mistake in it, nothing is known of the main one.
        let Some(main) = main.or(of_url) else { return };
        let mut names: Vec<&str> = vec![main];
        names.extend(known.databases.iter().map(|database| database.name.as_str()));
        if known.databases.len() == self.count(&["databases"]) && !names.contains(&name) {
            self.mistake(
                path,
                format!("there is no database \"{name}\""),
                format!("databases to which clients can connect: {}", names.join(", ")),
            );
        }
    }
}
