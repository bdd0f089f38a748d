//! A session's settings, kept by the gateway and replayed on whichever connection serves it.
//!
//! What is replayed is what the server has where a SET's text isn't enough (`SET DateStyle` keeps
//! what it doesn't name, FROM CURRENT names nothing): the server reports it, or is asked. The role
//! comes last, since it may not be allowed what came before it.

use std::sync::Arc;

use flywheel_wire::quote::literal;

use crate::{Connection, ServerError};

/// What made a session's settings what they are, one statement for each setting, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Setting {
    name: String,
    statement: String,
    /// The value as SHOW prints it, where it is known.
    value: Option<String>,
}

fn set_config(name: &str, value: &str, is_local: bool) -> String {
    format!("pg_catalog.set_config({}, {}, {is_local})", literal(name), literal(value))
}

impl Settings {
    /// Keeps a SET statement as the last word on its setting.
    pub fn set(&mut self, name: &str, statement: impl Into<String>) {
        self.put(name, statement.into(), None);
    }

    /// Keeps a setting given by name and value, as in a startup packet.
    pub fn set_value(&mut self, name: &str, value: &str) {
        let name = name.to_lowercase();
        // A list such as search_path's must not be quoted as one element: set_config takes the
        // value as SHOW prints it.
        let statement = format!("SELECT {}", set_config(&name, value, false));
        self.put(&name, statement, Some(value.to_owned()));
    }

    /// Keeps a setting as another has it.
    pub fn set_as(&mut self, other: &Self, name: &str) {
        match other.find(name) {
            Some(setting) => self.put(name, setting.statement.clone(), setting.value.clone()),
            None => self.reset(name),
        }
    }

    fn put(&mut self, name: &str, statement: String, value: Option<String>) {
        self.reset(name);
        self.settings.push(Setting { name: name.to_owned(), statement, value });
    }

    fn find(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Forgets a setting: it is the server's default again.
    pub fn reset(&mut self, name: &str) {
        self.settings.retain(|setting| setting.name != name);
    }

    /// RESET ALL: all go back to what they are in `base`, but for the role, which PostgreSQL leaves
    /// as it is.
    pub fn reset_to(&mut self, base: &Self) {
        let role = self.find("role").cloned();
        self.clone_from(base);
        self.reset("role");
        self.settings.extend(role);
    }

    /// Forgets all of them.
    pub fn reset_all(&mut self) {
        self.settings.clear();
    }

    /// All of the statements.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|setting| setting.statement.as_str())
    }

    /// The names of what is set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|setting| setting.name.as_str())
    }

    /// The value of a setting, where it is known.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name)?.value.as_deref()
    }

    /// All values that are known, by name.
    #[must_use]
    pub fn values(&self) -> Vec<(String, String)> {
        let known = |setting: &Setting| Some((setting.name.clone(), setting.value.clone()?));
        self.settings.iter().filter_map(known).collect()
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// A statement without rows that gives a setting its value here, or all settings that RESET ALL
    /// resets. `None`: there is no such value.
    #[must_use]
    pub fn restoring(&self, name: Option<&str>, is_local: bool) -> Option<String> {
        let is_wanted =
            |setting: &&Setting| name.map_or(setting.name != "role", |name| setting.name == name);
        let values = self.settings.iter().filter(is_wanted).filter_map(|setting| {
            let value = setting.value.as_deref()?;
            Some(format!("{} IS NULL", set_config(&setting.name, value, is_local)))
        });
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| format!("SELECT WHERE {}", values.join(" OR ")))
    }

    /// Those of a connection of which nothing is known.
    pub(crate) fn unknown() -> Self {
        let mut unknown = Self::default();
        unknown.set("flywheel.unknown", "");
        unknown
    }

    /// The text that makes a connection's settings these, and the connection one that refuses to
    /// write.
    pub(crate) fn replay_read_only(&self) -> String {
        self.replay(None) + ";SET default_transaction_read_only TO on"
    }

    /// The text that makes a connection's settings these, which has begun with `startup`. The role
    /// comes last: what it may not set was set before it.
    pub(crate) fn replay(&self, startup: Option<&Self>) -> String {
        // RESET ALL leaves users as they are.
        let mut replay = String::from("RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL");
        let is_there = |setting: &&Setting| {
            startup.and_then(|startup| startup.find(&setting.name)) == Some(setting)
        };
        let missing = self.settings.iter().filter(|setting| !is_there(setting));
        let (roles, others): (Vec<_>, Vec<_>) = missing.partition(|setting| setting.name == "role");
        for setting in others.into_iter().chain(roles) {
            replay.push(';');
            replay.push_str(&setting.statement);
        }
        replay
    }

    /// The statement that sets `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|setting| setting.statement.as_str())
    }
}

impl Connection {
    /// Makes the connection's settings those of a session: one round trip when they differ, nothing
    /// when they don't.
    ///
    /// # Errors
    /// The connection broke, or the server refuses one of the settings.
    pub async fn apply_settings(&mut self, settings: &Arc<Settings>) -> Result<(), ServerError> {
        if Arc::ptr_eq(&self.applied, settings) || self.applied == *settings {
            return Ok(());
        }
        // Until it has succeeded, what the connection holds is unknown.
        self.forget_settings();
        let replay = settings.replay(self.startup.as_ref());
        if !self.charset().is_utf8() && !replay.is_ascii() {
            // PostgreSQL reads a text in the encoding that is set when it comes.
            self.query("SET client_encoding TO 'UTF8'").await?;
        }
        self.query(&replay).await?;
        self.applied = settings.clone();
        Ok(())
    }

    /// Whether it was made for one client, with the settings that the client has begun with.
    #[must_use]
    pub fn has_own_startup(&self) -> bool {
        self.startup.is_some()
    }

    /// Notes that the connection's settings aren't known any more.
    pub fn forget_settings(&mut self) {
        self.applied = Arc::new(Settings::unknown());
    }

    /// Notes that a relayed SET or RESET has changed the connection's settings to these.
    pub fn note_settings(&mut self, settings: &Arc<Settings>) {
        self.applied = settings.clone();
    }
}
