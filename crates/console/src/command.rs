//! The console's statements.
//!
//! What operators can ask for is a `Subject`; its columns and rows are in `gateway/console/`.

use flywheel_wire::{PgError, sqlstate};

/// What SHOW shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The cache rules.
    Cache,
    /// Those who are connected.
    Clients,
    /// What clients can connect to.
    Databases,
    /// These statements.
    Help,
    /// How many there are of what.
    Lists,
    /// The pools of server connections.
    Pools,
    /// How many statements were answered in which way.
    Stats,
    /// The stores, and whether they answer.
    Stores,
    /// Where the configured tables live, and what is wrong with them.
    Tables,
    /// Who may log in.
    Users,
    /// Flywheel's version.
    Version,
}

impl Subject {
    /// All, by the words after SHOW.
    pub const ALL: [(&str, Self, &str); 11] = [
        ("CACHE", Self::Cache, "the cache rules, with their hits and misses"),
        ("CLIENTS", Self::Clients, "the clients: who, from where, and what they are at"),
        ("DATABASES", Self::Databases, "the databases that clients can connect to"),
        ("HELP", Self::Help, "these statements"),
        ("LISTS", Self::Lists, "how many clients, pools, databases and users there are"),
        ("POOLS", Self::Pools, "the pools of server connections, and who waits for one"),
        ("STATS", Self::Stats, "how many statements were answered, and in which way"),
        ("STORES", Self::Stores, "the stores, and whether each answers now"),
        ("TABLES", Self::Tables, "where each configured table lives, and what is wrong with it"),
        ("USERS", Self::Users, "the users of the configuration"),
        ("VERSION", Self::Version, "Flywheel's version"),
    ];
}

/// A statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `SHOW subject`
    Show(Subject),
    /// `KILL_CLIENT id`: ends the session of that number, as SHOW CLIENTS tells it.
    KillClient(i32),
    /// `RELOAD`: the configuration is read anew.
    Reload,
}

impl Command {
    /// Reads one statement; `None`: there is none in the text.
    ///
    /// # Errors
    /// 42601: the console has no such statement.
    pub fn read(text: &str) -> Result<Option<Self>, PgError> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let words: Vec<_> = text.split_whitespace().collect();
        let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
        match words[..] {
            [] => Ok(None),
            [show, subject] if is(show, "SHOW") => {
                let known = Subject::ALL.iter().find(|(name, ..)| is(subject, name));
                let (_, subject, _) = known.ok_or_else(|| unknown(text))?;
                Ok(Some(Self::Show(*subject)))
            }
            [kill, id] if is(kill, "KILL_CLIENT") => match id.parse() {
                Ok(id) => Ok(Some(Self::KillClient(id))),
                Err(_) => Err(PgError::error(
                    sqlstate::SYNTAX_ERROR,
                    format!("\"{id}\" isn't the number of a client"),
                )
                .with_hint("SHOW CLIENTS tells the numbers, in its column `id`.")),
            },
            [reload] if is(reload, "RELOAD") => Ok(Some(Self::Reload)),
            _ => Err(unknown(text)),
        }
    }

    /// The statement's command tag.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Show(_) => "SHOW",
            Self::KillClient(_) => "KILL_CLIENT",
            Self::Reload => "RELOAD",
        }
    }
}

fn unknown(text: &str) -> PgError {
    const SHOWN: usize = 100;
    let shown: String = text.chars().take(SHOWN).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    PgError::error(
        sqlstate::SYNTAX_ERROR,
        format!("the console has no statement \"{shown}{dots}\""),
    )
    .with_hint("SHOW HELP lists its statements. SQL runs in the other databases.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read() {
        let read = |text: &str| Command::read(text).expect("a statement");
        assert_eq!(read(" show\tclients ; "), Some(Command::Show(Subject::Clients)));
        assert_eq!(read("SHOW HELP"), Some(Command::Show(Subject::Help)));
        assert_eq!(read("kill_client 17;"), Some(Command::KillClient(17)));
        assert_eq!(read("RELOAD"), Some(Command::Reload));
        assert_eq!(read(" ;; "), None);
        for (name, subject, _) in Subject::ALL {
            assert_eq!(read(&format!("SHOW {name}")), Some(Command::Show(subject)));
        }
    }

    #[test]
    fn others_are_refused() {
        for text in ["SELECT 1", "SHOW", "SHOW ALL", "KILL_CLIENT x", "RELOAD now", "é"] {
            let error = Command::read(text).expect_err(text);
            assert_eq!(error.code(), "42601", "{text}");
        }
        let long = "é".repeat(1000);
        assert!(Command::read(&long).expect_err("it").message().len() < 300);
    }
}
