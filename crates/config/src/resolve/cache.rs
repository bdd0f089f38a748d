//! `[[cache]]`

use std::ops::Range;
use std::time::Duration;

use flywheel_types::TableName;

use super::{Known, Resolver};
use crate::config::{CacheRule, Store};
use crate::file::{self, InvalidateName};

/// Whether a table of the schema public is meant.
fn is_short(table: &TableName, name: &str) -> bool {
    table.schema == "public" && table.name == name
}

const MAX_RESULT_SIZE: u64 = 1 << 20;

impl Resolver<'_> {
    pub(super) fn cache(
        &mut self,
        rules: &[Option<file::CacheRule>],
        known: &Known<'_>,
        main: Option<&str>,
    ) -> Vec<CacheRule> {
        let written = rules.iter().enumerate().filter_map(|(at, rule)| Some((at, rule.as_ref()?)));
        let resolved: Vec<_> =
            written.map(|(at, rule)| self.cache_rule(&at.to_string(), rule, known, main)).collect();
        let follows = |rule: &file::CacheRule| self.follows_postgres(rule, known) != Some(false);
        let is_followed = resolved.len() < rules.len() || rules.iter().flatten().any(follows);
        for key in ["publication", "max_retained_wal"] {
            if let Some(primary) = known.primary
                && !is_followed
                && self.is_there(&["stores", primary, key])
            {
                self.mistake(
                    &["stores", primary, key],
                    format!("`{key}` without a cache rule that needs it"),
                    "leave it out, or write invalidate = \"replication\" in a [[cache]] rule",
                );
            }
        }
        resolved
    }

    /// Whether a rule follows tables that are PostgreSQL's own. `None`: there is a mistake in one
    /// of those in stores.
    fn follows_postgres(&self, rule: &file::CacheRule, known: &Known<'_>) -> Option<bool> {
        let is_homed = |name: &String| {
            known
                .tables
                .iter()
                .any(|home| home.name.to_string() == *name || is_short(&home.name, name))
        };
        let is_rule = rule.invalidate == Some(InvalidateName::Replication);
        (known.tables.len() == self.count(&["tables"]))
            .then(|| is_rule && !rule.when.tables.iter().flatten().flatten().all(is_homed))
    }

    /// How old the news may be of what others write; `None`: there is none.
    fn replication(
        &mut self,
        at: &str,
        rule: &file::CacheRule,
        known: &Known<'_>,
    ) -> Option<Duration> {
        if rule.invalidate != Some(InvalidateName::Replication) {
            if self.is_there(&["cache", at, "max_lag"]) {
                self.mistake(
                    &["cache", at, "max_lag"],
                    "`max_lag` without replication",
                    "leave it out, or write invalidate = \"replication\"",
                );
            }
            return None;
        }
        if !self.is_there(&["cache", at, "when", "tables"]) {
            self.mistake(
                &["cache", at, "invalidate"],
                "replication of no tables",
                "name the tables in when.tables: their changes are followed",
            );
        }
        for (place, name) in rule.when.tables.iter().flatten().enumerate() {
            let place = place.to_string();
            let is_system = |name: &String| {
                name.starts_with("pg_catalog.") || name.starts_with("information_schema.")
            };
            if name.as_ref().is_some_and(is_system) {
                self.mistake(
                    &["cache", at, "when", "tables", &place],
                    "replication doesn't tell of the system's catalogue",
                    "leave it out, or write invalidate = \"writes\", by which definitions end its answers, or \"none\"",
                );
            }
        }
        if let Some(name) = rule
            .when
            .database
            .as_ref()
            .filter(|name| known.databases.iter().any(|database| database.name == **name))
        {
            self.mistake(
                &["cache", at, "when", "database"],
                format!("replication is of the main database, not of \"{name}\""),
                "leave `database` out, or write invalidate = \"writes\"",
            );
        }
        if rule.stale_if_error.is_some() {
            self.mistake(
                &["cache", at, "stale_if_error"],
                "`stale_if_error` with replication",
                "leave it out: when a server can't be reached it isn't known what has been written there",
            );
        }
        if known
            .primary
            .is_some_and(|primary| matches!(known.stores[primary], Store::EmbeddedPostgres(_)))
            && self.follows_postgres(rule, known) == Some(true)
        {
            self.mistake(
                &["cache", at, "invalidate"],
                "replication of an embedded PostgreSQL, which serves one connection",
                "write invalidate = \"writes\"",
            );
        }
        Some(self.duration(&["cache", at, "max_lag"], rule.max_lag.as_deref(), "1s"))
    }

    fn cache_rule(
        &mut self,
        at: &str,
        rule: &file::CacheRule,
        known: &Known<'_>,
        main: Option<&str>,
    ) -> CacheRule {
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
        let size = size.map_or(Some(MAX_RESULT_SIZE), |size| {
            self.bytes(&["cache", at, "max_result_size"], size)
        });
        let (tables, table_spans) =
            self.cache_tables(at, when.tables.as_deref()).into_iter().unzip();
        CacheRule {
            tables,
            table_spans,
            span: self.tree.span(&[
                "cache",
                at,
                if self.is_there(&["cache", at, "invalidate"]) { "invalidate" } else { "when" },
            ]),
            user: when.user.clone(),
            database: when.database.clone(),
            pattern: when.pattern.clone(),
            fingerprint: when.fingerprint.as_deref().and_then(|text| self.fingerprint(at, text)),
            hint: when.hint,
            ttl: self.duration(&["cache", at, "ttl"], Some(&rule.ttl), "1s"),
            stale_while_revalidate: self.time_after(
                at,
                "stale_while_revalidate",
                rule.stale_while_revalidate.as_deref(),
            ),
            stale_if_error: self.time_after(at, "stale_if_error", rule.stale_if_error.as_deref()),
            by_writes: rule.invalidate != Some(InvalidateName::None),
            max_lag: self.replication(at, rule, known),
            max_result_size: size.and_then(|size| usize::try_from(size).ok()).unwrap_or_default(),
        }
    }

    fn time_after(&mut self, at: &str, key: &str, text: Option<&str>) -> Duration {
        text.map_or(Duration::ZERO, |text| self.duration(&["cache", at, key], Some(text), "1s"))
    }

    /// The tables, and where they stand.
    fn cache_tables(
        &mut self,
        at: &str,
        names: Option<&[Option<String>]>,
    ) -> Vec<(TableName, Range<usize>)> {
        if names.is_some_and(<[_]>::is_empty) {
            self.mistake(
                &["cache", at, "when", "tables"],
                "a cache rule for no tables",
                "name at least one, or leave the key out: any",
            );
        }
        let names = names.unwrap_or_default().iter().enumerate();
        names
            .filter_map(|(place, name)| {
                let place = place.to_string();
                let path = ["cache", at, "when", "tables", &place];
                Some((self.table_name(&path, name.as_ref()?)?, self.tree.span(&path)))
            })
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
