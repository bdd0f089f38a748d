//! The session's settings.
//!
//! RESET and DEFAULT mean the value that the client has begun with, as if the server connection had
//! been made for it alone: its startup packet isn't the one that the connection was made with. So
//! what they reset is set to that value at once, before anything else is carried out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use flywheel_postgres::{Connection, Lease, Settings, defaults_digest};
use flywheel_sql::lex::lex;
use flywheel_sql::{NullValue, SessionEffect, SettingName, Statement, conforming, null_settings};
use flywheel_statement::{Analysis, Shown};
use flywheel_wire::frontend::Bind;
use flywheel_wire::quote::literal;
use flywheel_wire::{Charset, Frame, backend};

use super::idle::idle_timeout;
use super::reported::{CLIENT_ENCODING, Reported};
use super::reports::Reports;

/// What a server tells of itself.
const FIXED: &[&str] =
    &["integer_datetimes", "server_encoding", "server_version", "is_superuser", "in_hot_standby"];
/// The setting that says how backslashes in strings are read.
pub(crate) const CONFORMING_STRINGS: &str = "standard_conforming_strings";

/// The session's settings: as it began, as they are now, and as its client knows them.
#[derive(Default)]
pub(crate) struct SessionSettings {
    /// From the startup packet.
    pub(crate) base: Arc<Settings>,
    /// As they are now. What has changed is another value.
    pub(crate) now: Arc<Settings>,
    pub(crate) told: Told,
    /// Settings that the server reports, as the client knows them.
    pub(crate) reported: Reported,
    pub(crate) reports: Reports,
    /// What the server has reported behind its latest answer. The client is told it last, behind
    /// notifications.
    pub(crate) behind: Vec<Frame>,
}

/// What the server's sessions began with when this one did.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    values: Arc<HashMap<String, String>>,
    digest: u64,
    /// Of which generation of the server's connections that is.
    pub(crate) generation: u64,
}

/// What a text resets of what the client has begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resets {
    /// Nothing.
    Nothing,
    /// Something, by its last statement.
    AtEnd,
    /// Something, before statements that see it.
    Amid,
}

impl Told {
    pub(crate) fn new(values: Arc<HashMap<String, String>>, generation: u64) -> Self {
        Self { digest: defaults_digest(&values), values, generation }
    }
}

impl SessionSettings {
    /// Those of a client that asks for `values` in its startup packet.
    pub(crate) fn new(values: &[(String, String)]) -> Self {
        let mut settings = Settings::default();
        for (name, value) in values {
            settings.set_value(name, value);
        }
        let settings = Arc::new(settings);
        Self { now: settings.clone(), base: settings, ..Self::default() }
    }

    /// Those of a session that begins as this one is.
    pub(crate) fn aside(&self) -> Self {
        Self {
            base: self.now.clone(),
            now: self.now.clone(),
            told: self.told.clone(),
            ..Self::default()
        }
    }

    /// For a change.
    pub(crate) fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.now)
    }

    /// RESET of one setting, or of all.
    pub(crate) fn reset(&mut self, name: Option<&str>) {
        match name {
            Some(name) => Arc::make_mut(&mut self.now).set_as(&self.base, name),
            None => Arc::make_mut(&mut self.now).reset_to(&self.base),
        }
    }

    /// DISCARD ALL.
    pub(crate) fn discard(&mut self) {
        self.now = self.base.clone();
        if self.base.get("role").is_some() {
            // It sets the session user anew, which leaves no role.
            self.change().set("role", "SET ROLE NONE");
        }
    }

    /// No role, whatever the client has begun with.
    pub(crate) fn set_no_role(&self, settings: &mut Settings) {
        if self.base.get("role").is_some() {
            settings.set("role", "SET ROLE NONE");
        } else {
            settings.reset("role");
        }
    }

    /// Sessions of the server may begin with other settings now than when this one began: what the
    /// client was told of its own is made so, and what can't be is told.
    pub(crate) fn hold_to_what_was_told(&mut self, connection: &Connection, out: &mut BytesMut) {
        if self.told.digest == 0 || self.told.digest == connection.defaults() {
            return;
        }
        for (name, told) in self.told.values.clone().iter() {
            let Some(now) = connection.login_parameters().get(name).filter(|now| *now != told)
            else {
                continue;
            };
            let setting = name.to_lowercase();
            if name == "server_version" {
                let known = self.reported.insert(name.clone(), now.clone());
                if known.as_ref().is_some_and(|known| known != now) {
                    backend::parameter_status(out, name, now);
                }
            } else if !FIXED.contains(&name.as_str())
                && !["application_name", CLIENT_ENCODING, "session_authorization"]
                    .contains(&setting.as_str())
                && self.base.get(&setting).is_none()
            {
                Arc::make_mut(&mut self.base).set_value(&setting, told);
                if self.now.get(&setting).is_none() {
                    self.change().set_value(&setting, told);
                }
            }
        }
    }

    /// Tells the client of settings that a statement run in its place has changed: `SET LOCAL` ends
    /// with the block.
    pub(crate) fn report(&mut self, lease: &Lease, out: &mut BytesMut) {
        for (name, value) in lease.parameters() {
            if let Some(known) = self.reported.get(name)
                && known != value
                && name != "session_authorization"
                && (name != "application_name" || self.now.get(name).is_some())
            {
                backend::parameter_status(out, name, value);
                self.reported.insert(name.clone(), value.clone());
            }
        }
    }

    /// Tells the client of settings that the server has reported, where they are others than it
    /// knows.
    pub(crate) fn tell(&mut self, names: Vec<String>, lease: Option<&Lease>, out: &mut BytesMut) {
        for name in names {
            let now = lease.and_then(|lease| lease.parameters().get(&name));
            if let Some(now) = now.filter(|now| self.reported.get(&name) != Some(now)) {
                backend::parameter_status(out, &name, now);
                let now = now.clone();
                self.reported.insert(name, now);
            }
        }
    }

    /// For how long the client may say nothing outside a transaction.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.now.get("idle_session_timeout").and_then(idle_timeout)
    }

    /// How the client's texts are read.
    pub(crate) fn charset(&self) -> Charset {
        self.reported.charset()
    }

    /// Whether backslashes in ordinary strings are escapes, as far as the client knows.
    pub(crate) fn reads_escapes(&self) -> bool {
        self.reported.get(CONFORMING_STRINGS).is_some_and(|value| value == "off")
    }

    /// A client's text as it reads with the setting on. PostgreSQL reads a text with the setting as
    /// it is when the text arrives.
    pub(crate) fn conforming<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Most texts have no backslash.
        if !text.contains('\\') || !self.reads_escapes() {
            return Cow::Borrowed(text);
        }
        conforming(text).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Whether a text shows what the client has begun with: by a list of settings, or since it runs
    /// code that resets them.
    pub(crate) fn shows_startup(&self, shown: &Shown, is_listed: bool) -> bool {
        !self.base.is_empty()
            && (is_listed
                || shown.resets_any
                || shown.resets.iter().any(|name| self.base.get(name).is_some()))
    }

    /// What gives settings the client's startup values again, after a statement with this effect.
    pub(crate) fn restoring(&self, effect: &SessionEffect) -> Option<String> {
        match effect {
            SessionEffect::Reset { name } => self.base.restoring(name.as_deref(), false),
            SessionEffect::ResetLocal { name } => self.base.restoring(Some(name), true),
            SessionEffect::DiscardAll => self.base.restoring(None, false),
            _ => None,
        }
    }

    /// The positions of statements that reset what the client has begun with: none, nothing but the
    /// last, or others too.
    pub(crate) fn resets(&self, analysis: &Analysis) -> Resets {
        if analysis.is_plain || self.base.is_empty() {
            return Resets::Nothing;
        }
        let resets =
            |position: usize| self.restoring(&analysis.statements[position].session).is_some();
        let first = (0..analysis.statements.len()).find(|position| resets(*position));
        match first {
            None => Resets::Nothing,
            Some(position) if position + 1 == analysis.statements.len() => Resets::AtEnd,
            Some(_) => Resets::Amid,
        }
    }

    /// A text in which `set_config` is called with NULL, or what may be, for a setting that the
    /// client has begun with: with the startup value in its place.
    pub(crate) fn with_startup_values(&self, analysis: &Analysis, text: &str) -> Option<String> {
        // The call is an effect on the session.
        if self.base.is_empty() || analysis.is_plain {
            return None;
        }
        let is_call =
            |statement: &Statement| statement.has_word(&analysis.text, |word| word == "set_config");
        if !analysis.statements.iter().any(is_call) {
            return None;
        }
        let mut rewritten = String::new();
        let mut from = 0;
        for setting in null_settings(text, &lex(text)) {
            let SettingName::Known(name) = &setting.name else { continue };
            let Some(value) = self.base.value(name).map(literal) else { continue };
            let (range, value) = match setting.value {
                NullValue::Written(range) => (range, value),
                NullValue::Computed(range) => {
                    let computed = format!("coalesce({}, {value})", &text[range.clone()]);
                    (range, computed)
                }
                NullValue::Parameter(_) => continue,
            };
            if range.start < from {
                continue;
            }
            rewritten.push_str(&text[from..range.start]);
            rewritten.push_str(&value);
            from = range.end;
        }
        (from > 0).then(|| rewritten + &text[from..])
    }

    /// The same for a value that is bound.
    pub(crate) fn bind_startup_values(&self, analysis: &Analysis, bind: &mut Bind) {
        if self.base.is_empty() || analysis.is_plain {
            return;
        }
        for statement in &analysis.statements {
            for setting in null_settings(&analysis.text, &statement.tokens) {
                let named = match &setting.name {
                    SettingName::Known(name) => Some(name.clone()),
                    SettingName::Parameter(position) => {
                        let name = bind.parameters.get(*position).and_then(Option::as_ref);
                        let name = name.and_then(|name| std::str::from_utf8(name).ok());
                        name.map(str::to_lowercase)
                    }
                    SettingName::Unknown => None,
                };
                if let NullValue::Parameter(position) = setting.value
                    && let Some(value) = named.and_then(|name: String| self.base.value(&name))
                    && let Some(bound @ None) = bind.parameters.get_mut(position)
                {
                    *bound = Some(value.to_owned().into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun_with(name: &str, value: &str) -> SessionSettings {
        SessionSettings::new(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn reset_means_what_the_client_has_begun_with() {
        let mut settings = begun_with("timezone", "UTC");
        settings.change().set_value("timezone", "Asia/Tokyo");
        settings.change().set_value("work_mem", "1MB");
        settings.reset(Some("timezone"));
        assert_eq!(settings.now.value("timezone"), Some("UTC"));
        assert_eq!(settings.now.value("work_mem"), Some("1MB"));
        settings.reset(None);
        assert_eq!(settings.now.value("work_mem"), None);
        let reset = SessionEffect::Reset { name: Some("timezone".to_owned()) };
        assert!(settings.restoring(&reset).is_some_and(|sql| sql.contains("UTC")));
        let other = SessionEffect::Reset { name: Some("work_mem".to_owned()) };
        assert_eq!(settings.restoring(&other), None);
    }

    #[test]
    fn discard_all_leaves_no_role() {
        let mut settings = begun_with("role", "reader");
        settings.discard();
        assert_eq!(settings.now.get("role"), Some("SET ROLE NONE"));
        let mut settings = begun_with("timezone", "UTC");
        settings.change().set_value("role", "reader");
        settings.discard();
        assert_eq!(settings.now.get("role"), None);
    }

    #[test]
    fn a_change_is_another_value() {
        let mut settings = begun_with("timezone", "UTC");
        let before = settings.now.clone();
        settings.change().set_value("timezone", "Asia/Tokyo");
        assert!(!Arc::ptr_eq(&before, &settings.now));
        assert_eq!(before.value("timezone"), Some("UTC"));
    }

    #[test]
    fn backslashes_are_read_as_the_client_knows_the_setting() {
        let mut settings = SessionSettings::default();
        let text = r"SELECT 'a\n'";
        assert_eq!(settings.conforming(text), text);
        settings.reported.insert(CONFORMING_STRINGS.to_owned(), "off".to_owned());
        assert_ne!(settings.conforming(text), text);
    }
}
