//! What the server is asked before its connection goes to somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use flywheel_postgres::{Connection, Rows, ServerError, Settings};
use flywheel_wire::quote::literal;

use super::reported::CLIENT_ENCODING;
use super::settings::SessionSettings;
use super::upstream::Upstream;

/// Whether something of the session is on its server connection still.
const ANYTHING_LEFT: &str = "SELECT 1 WHERE EXISTS (SELECT FROM pg_catalog.pg_listening_channels())
    OR EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)
    OR EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)
    OR EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())
    OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema())
    OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = pg_catalog.pg_my_temp_schema())
    OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.pg_my_temp_schema())";

/// The question for settings by their names, and for all that PostgreSQL lists.
fn question(names: &[String], any: bool) -> String {
    let asked: Vec<_> = names
        .iter()
        .map(|name| format!("pg_catalog.current_setting({}, true)", literal(name)))
        .collect();
    let mut question = format!("SELECT {}", asked.join(", "));
    if any {
        question.push_str(
            "; SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'",
        );
    }
    question
}

/// What the server says of them, by name; `None`: it doesn't know the setting.
fn answers(names: &[String], any: bool, results: &[Rows]) -> BTreeMap<String, Option<String>> {
    let mut answers = BTreeMap::new();
    if let Some(rows) = results.first() {
        for (column, name) in names.iter().enumerate() {
            let is_there =
                rows.rows.first().and_then(|row| row.get(column)).is_some_and(Option::is_some);
            answers.insert(name.clone(), is_there.then(|| rows.text(0, column).to_owned()));
        }
    }
    if let (true, Some(rows)) = (any, results.get(1)) {
        for row in 0..rows.rows.len() {
            answers.insert(rows.text(row, 0).to_lowercase(), Some(rows.text(row, 1).to_owned()));
        }
    }
    answers
}

impl Upstream {
    /// Takes over the settings that the server has.
    pub(crate) async fn ask_for_settings(
        &mut self,
        settings: &mut SessionSettings,
    ) -> Result<(), ServerError> {
        let learning = std::mem::take(&mut self.learning);
        let mut names = learning.names;
        if learning.any {
            // Those of one's own aren't listed.
            names.extend(settings.now.names().filter(|name| name.contains('.')).map(str::to_owned));
            names.extend(["role".to_owned(), CLIENT_ENCODING.to_owned()]);
        }
        self.lose_unnamed();
        let Some(lease) = self.lease_mut() else { return Ok(()) };
        let began_with_base = lease.has_own_startup();
        let reported = |lease: &Connection, name: &str| {
            let known = lease.parameters().iter().find(|(each, _)| each.eq_ignore_ascii_case(name));
            known.map(|(_, value)| value.clone())
        };
        let mut told: BTreeMap<_, _> = names
            .iter()
            .filter_map(|name| Some((name.clone(), Some(reported(lease, name)?))))
            .collect();
        let asked: Vec<String> =
            names.into_iter().filter(|name| !told.contains_key(name)).collect();
        if !asked.is_empty() || learning.any {
            let results = lease.query_in_utf8(&question(&asked, learning.any)).await?;
            let mut answers = answers(&asked, learning.any, &results);
            // It was asked in another one.
            answers.remove(CLIENT_ENCODING);
            told.extend(answers);
        }
        let mut now = Settings::clone(&settings.now);
        let mut is_as_told = !learning.is_unknown;
        if learning.any {
            let unset = |name: &&str| !name.contains('.') && !told.contains_key(*name);
            let unset: Vec<_> = settings.now.names().filter(unset).map(str::to_owned).collect();
            // They have been reset, which means the client's startup values.
            for name in unset {
                now.set_as(&settings.base, &name);
                is_as_told &= now.get(&name).is_none() || began_with_base;
            }
        }
        for (name, value) in told {
            match value.as_deref() {
                Some("none") if name == "role" => settings.set_no_role(&mut now),
                Some(value) if now.value(&name) == Some(value) => {}
                // As connections begin.
                Some("UTF8") if name == CLIENT_ENCODING && settings.base.get(&name).is_none() => {
                    now.reset(&name);
                }
                Some(value) => now.set_value(&name, value),
                None => now.reset(&name),
            }
        }
        if *settings.now != now {
            settings.now = Arc::new(now);
        }
        self.note_settings(&settings.now);
        if let (false, Some(lease)) = (is_as_told, self.lease_mut()) {
            lease.forget_settings();
        }
        Ok(())
    }

    /// Asks PostgreSQL whether anything is left of what the server connection was kept for. The
    /// server is at rest, outside a block.
    pub(crate) async fn look_for_pins(&mut self) {
        self.lose_unnamed();
        let Some(lease) = self.lease_mut() else { return };
        // Where it can't be asked, the next statement will be told why.
        if lease
            .query(ANYTHING_LEFT)
            .await
            .is_ok_and(|results| results.iter().all(|result| result.rows.is_empty()))
        {
            self.pins.clear();
        }
    }
}
