//! What a statement leaves behind in its session, found from its words. A server connection is shared, so whatever
//! outlives the statement must be known: settings are kept and replayed, the rest keeps the connection with its client.

use crate::Verb;
use crate::lex::{Token, TokenKind};

/// What outlives the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEffect {
    /// Nothing.
    None,
    /// `SET name …`: a setting of the session. The statement itself can be replayed.
    Set {
        /// The setting, folded to lower case (`timezone` for SET TIME ZONE).
        name: String,
    },
    /// `SET LOCAL name …` or `SET TRANSACTION …` (`transaction`): until the end of the transaction block.
    SetLocal {
        /// The setting.
        name: String,
    },
    /// `RESET name`, or `RESET ALL` (`None`).
    Reset {
        /// The setting.
        name: Option<String>,
    },
    /// `DISCARD ALL`
    DiscardAll,
    /// Something that lives in the server connection and can't be replayed; the reason, as the log says it.
    Pins(&'static str),
}

/// Why a session that asks for the last value of a sequence keeps its connection.
pub const LAST_VALUE: &str = "the session's last sequence value";

/// What a procedure or DO block may do to the session, by words in it.
const HIDDEN_EFFECTS: &[&str] = &["set", "temp", "lock", "listen", "prepare", "deallocate", "discard", "hold", "load"];

/// Functions that leave something in the server connection.
const PINNING_FUNCTIONS: &[(&str, &str)] = &[
    ("pg_advisory_lock", "a session advisory lock"),
    ("pg_advisory_lock_shared", "a session advisory lock"),
    ("pg_try_advisory_lock", "a session advisory lock"),
    ("pg_try_advisory_lock_shared", "a session advisory lock"),
    ("set_config", "a setting made by set_config()"),
    ("currval", LAST_VALUE),
    ("lastval", LAST_VALUE),
    ("setseed", "the session's random seed"),
];

impl SessionEffect {
    /// The effect of the statement with these tokens.
    #[must_use]
    pub fn of(text: &str, verb: Verb, tokens: &[Token]) -> Self {
        let word = |position: usize| {
            tokens
                .get(position)
                .map_or(std::borrow::Cow::Borrowed(""), |token| token.identifier(text))
        };
        let has = |wanted: &str| tokens.iter().any(|token| token.is_keyword(text, wanted));
        match (word(0).as_ref(), word(1).as_ref(), word(2).as_ref()) {
            ("set", "constraints", _) => Self::None,
            ("set", "transaction", _) => Self::SetLocal {
                name: "transaction".into(),
            },
            ("set", "local", "time") => Self::SetLocal { name: "timezone".into() },
            ("set", "local", name) => Self::SetLocal {
                name: dotted(text, tokens, 2, name),
            },
            ("set", ..) if tokens.last().is_some_and(|last| last.is_keyword(text, "default")) || (has("zone") && has("local")) => {
                Self::default_of(text, tokens)
            }
            ("set", "session", "characteristics") => Self::Set {
                name: "transaction characteristics".into(),
            },
            ("set", "session", "authorization") => Self::Set {
                name: "session authorization".into(),
            },
            ("set", "session", "time") | ("set", "time", "zone") => Self::Set { name: "timezone".into() },
            ("set", "session", name) => Self::Set {
                name: dotted(text, tokens, 2, name),
            },
            ("set", name, _) => Self::Set {
                name: dotted(text, tokens, 1, name),
            },
            ("reset", "all", _) => Self::Reset { name: None },
            ("reset", "time", _) => Self::Reset {
                name: Some("timezone".into()),
            },
            ("reset", "session", _) => Self::Reset {
                name: Some("session authorization".into()),
            },
            ("reset", name, _) => Self::Reset {
                name: Some(dotted(text, tokens, 1, name)),
            },
            ("discard", "all", _) => Self::DiscardAll,
            ("do" | "call", ..) if has_hidden_effect(text, tokens) => Self::Pins("what a DO block or a procedure may have set"),
            ("listen", ..) => Self::Pins("LISTEN"),
            ("load", ..) => Self::Pins("a loaded library"),
            ("prepare", next, _) if next != "transaction" => Self::Pins("a statement prepared by SQL"),
            ("declare", ..) if has("hold") && !has("without") => Self::Pins("a cursor WITH HOLD"),
            ("create", "temp" | "temporary", _) | ("create", "global" | "local", "temp" | "temporary") => Self::Pins("a temporary table"),
            _ if matches!(verb, Verb::Select | Verb::With) && has("into") && (has("temp") || has("temporary")) => {
                Self::Pins("a temporary table")
            }
            _ => tokens
                .iter()
                .filter(|token| token.kind == TokenKind::Word)
                .find_map(|token| PINNING_FUNCTIONS.iter().find(|(name, _)| token.is_keyword(text, name)))
                .map_or(Self::None, |(_, reason)| Self::Pins(reason)),
        }
    }
}

impl SessionEffect {
    /// `SET [SESSION] name TO DEFAULT` is RESET; with LOCAL it ends with the block.
    fn default_of(text: &str, tokens: &[Token]) -> Self {
        let word = |position: usize| {
            tokens
                .get(position)
                .map_or(std::borrow::Cow::Borrowed(""), |token| token.identifier(text))
        };
        let is_local = word(1) == "local" && word(2) != "time" || word(1) == "local" && word(3) == "zone";
        let at = if is_local || word(1) == "session" { 2 } else { 1 };
        let name = match word(at).as_ref() {
            "time" => "timezone".to_owned(),
            name => dotted(text, tokens, at, name),
        };
        if is_local {
            Self::SetLocal { name }
        } else {
            Self::Reset { name: Some(name) }
        }
    }
}

/// Whether a word of the whole text, strings included, is one that may leave something in the session.
fn has_hidden_effect(text: &str, tokens: &[Token]) -> bool {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return false;
    };
    text[first.range.start..last.range.end]
        .split(|character: char| !character.is_ascii_alphabetic())
        .any(|word| HIDDEN_EFFECTS.iter().any(|effect| word.eq_ignore_ascii_case(effect)))
}

/// A setting's name: `myapp.user_id` is three tokens.
fn dotted(text: &str, tokens: &[Token], position: usize, first: &str) -> String {
    let dot = tokens.get(position + 1).is_some_and(|token| text[token.range.clone()] == *".");
    match tokens.get(position + 2) {
        Some(second) if dot => format!("{first}.{}", second.identifier(text)),
        _ => first.to_owned(),
    }
}
