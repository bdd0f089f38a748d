//! A session's settings, kept by the gateway and replayed on whichever connection serves it.

use flywheel_wire::quote::literal;

use crate::{Connection, ServerError};

/// The SET statements that made a session's settings what they are, one for each setting, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    statements: Vec<(String, String)>,
}

impl Settings {
    /// Keeps a SET statement as the last word on its setting.
    pub fn set(&mut self, name: &str, statement: impl Into<String>) {
        self.reset(name);
        self.statements.push((name.to_owned(), statement.into()));
    }

    /// Keeps a setting given by name and value, as in a startup packet.
    pub fn set_value(&mut self, name: &str, value: &str) {
        // A list such as search_path's must not be quoted as one element: set_config takes the value as SHOW prints it.
        self.set(
            &name.to_ascii_lowercase(),
            format!("SELECT pg_catalog.set_config({}, {}, false)", literal(name), literal(value)),
        );
    }

    /// Forgets a setting: it is the server's default again.
    pub fn reset(&mut self, name: &str) {
        self.statements.retain(|(each, _)| each != name);
    }

    /// Forgets those, by name and statement, that aren't wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&str, &str) -> bool) {
        self.statements.retain(|(name, statement)| is_wanted(name, statement));
    }

    /// RESET ALL: all go back to what they are in `base`, but for the role, which PostgreSQL leaves as it is.
    pub fn reset_to(&mut self, base: &Self) {
        let role = self.get("role").map(str::to_owned);
        self.clone_from(base);
        match role {
            Some(role) => self.set("role", role),
            None => self.reset("role"),
        }
    }

    /// Forgets all of them.
    pub fn reset_all(&mut self) {
        self.statements.clear();
    }

    /// All of the statements.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|(_, statement)| statement.as_str())
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Those of a connection of which nothing is known.
    pub(crate) fn unknown() -> Self {
        let mut unknown = Self::default();
        unknown.set("flywheel.unknown", "");
        unknown
    }

    /// The text that makes a connection's settings these, and the connection one that refuses to write.
    pub(crate) fn replay_read_only(&self) -> String {
        self.replay() + ";SET default_transaction_read_only TO on"
    }

    /// The text that makes a connection's settings these.
    pub(crate) fn replay(&self) -> String {
        // RESET ALL leaves users as they are.
        let mut replay = String::from("RESET ALL;RESET SESSION AUTHORIZATION;RESET ROLE");
        for statement in self.statements() {
            replay.push(';');
            replay.push_str(statement);
        }
        replay
    }

    /// The statement that sets `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.statements
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, statement)| statement.as_str())
    }
}

impl Connection {
    /// Makes the connection's settings those of a session: one round trip when they differ, nothing when they don't.
    ///
    /// # Errors
    /// The connection broke, or the server refuses one of the settings.
    pub async fn apply_settings(&mut self, settings: &Settings) -> Result<(), ServerError> {
        if self.applied == *settings {
            return Ok(());
        }
        // Until it has succeeded, what the connection holds is unknown.
        self.forget_settings();
        self.query(&settings.replay()).await?;
        self.applied = settings.clone();
        Ok(())
    }

    /// Sets these beside what the connection has, which counts as applied already.
    ///
    /// # Errors
    /// The connection broke, or the server refuses one of the settings.
    pub async fn add_settings(&mut self, settings: &Settings) -> Result<(), ServerError> {
        let statements: Vec<_> = settings.statements().collect();
        self.query(&statements.join(";")).await.map(|_| ())
    }

    /// Notes that the connection's settings aren't known any more.
    pub fn forget_settings(&mut self) {
        self.applied = Settings::unknown();
    }

    /// Notes that a relayed SET or RESET has changed the connection's settings to these.
    pub fn note_settings(&mut self, settings: &Settings) {
        self.applied = settings.clone();
    }
}
