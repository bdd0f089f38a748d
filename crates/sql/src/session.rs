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
    /// Something that lives in the server connection and can't be replayed.
    Pins(Pin),
    /// Something that an earlier statement has left in the server connection may be gone.
    Releases,
}

/// Why a session keeps its server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// A session advisory lock.
    AdvisoryLock,
    /// A setting whose name or value isn't known here.
    Configuration,
    /// What a DO block or a procedure may have set.
    Procedure,
    /// A cursor WITH HOLD.
    HeldCursor,
    /// The last value of a sequence was asked for.
    LastValue,
    /// A loaded library.
    Library,
    /// LISTEN.
    Listen,
    /// A statement prepared by SQL.
    PreparedStatement,
    /// The random seed.
    RandomSeed,
    /// SET SESSION AUTHORIZATION.
    SessionUser,
    /// A temporary table, view, sequence, function, or a search path that makes what is created temporary.
    TemporaryObject,
    /// Several defaults of transactions, set by one statement.
    TransactionDefaults,
    /// What a function has opened: a backup, a connection of dblink, a temporary replication slot.
    Opened,
    /// No statement's doing: the session's pool mode is "session".
    PoolMode,
}

impl Pin {
    /// As the log says it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::AdvisoryLock => "a session advisory lock",
            Self::Configuration => "a setting made by set_config()",
            Self::Procedure => "what a DO block or a procedure may have set",
            Self::HeldCursor => "a cursor WITH HOLD",
            Self::LastValue => "the session's last sequence value",
            Self::Library => "a loaded library",
            Self::Listen => "LISTEN",
            Self::PreparedStatement => "a statement prepared by SQL",
            Self::RandomSeed => "the session's random seed",
            Self::SessionUser => "another session user",
            Self::TemporaryObject => "a temporary object",
            Self::TransactionDefaults => "changed transaction defaults",
            Self::Opened => "what a function has opened",
            Self::PoolMode => "pool_mode = \"session\"",
        }
    }

    /// Whether DISCARD ALL leaves it as it is.
    #[must_use]
    pub fn outlives_discard(self) -> bool {
        matches!(self, Self::Library | Self::RandomSeed | Self::Opened)
    }

    /// Whether PostgreSQL's catalogue tells what is left of it.
    #[must_use]
    pub fn is_listed(self) -> bool {
        matches!(
            self,
            Self::AdvisoryLock | Self::HeldCursor | Self::Listen | Self::PreparedStatement | Self::TemporaryObject
        )
    }

    /// Whether nothing of it is left after a ROLLBACK.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        matches!(
            self,
            Self::Configuration | Self::HeldCursor | Self::Listen | Self::SessionUser | Self::TemporaryObject | Self::TransactionDefaults
        )
    }
}

/// What a procedure or DO block may do to the session, by words in it.
const HIDDEN_EFFECTS: &[&str] = &["set", "temp", "lock", "listen", "prepare", "deallocate", "discard", "hold", "load"];

/// Functions that leave something in the server connection.
const PINNING_FUNCTIONS: &[(&str, Pin)] = &[
    ("pg_advisory_lock", Pin::AdvisoryLock),
    ("pg_advisory_lock_shared", Pin::AdvisoryLock),
    ("pg_try_advisory_lock", Pin::AdvisoryLock),
    ("pg_try_advisory_lock_shared", Pin::AdvisoryLock),
    ("set_config", Pin::Configuration),
    // pg_trgm's, for a setting of its own.
    ("set_limit", Pin::Configuration),
    ("currval", Pin::LastValue),
    ("lastval", Pin::LastValue),
    ("setseed", Pin::RandomSeed),
    ("pg_backup_start", Pin::Opened),
    ("pg_start_backup", Pin::Opened),
    ("pg_create_logical_replication_slot", Pin::Opened),
    ("pg_create_physical_replication_slot", Pin::Opened),
    ("pg_replication_origin_session_setup", Pin::Opened),
    ("dblink_connect", Pin::Opened),
    ("dblink_connect_u", Pin::Opened),
];

/// Functions that take something out of the server connection.
const RELEASING_FUNCTIONS: &[&str] = &["pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"];

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
            ("set", "session", "characteristics") => characteristics(has),
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
            ("unlisten" | "close" | "deallocate" | "discard" | "drop", ..) => Self::Releases,
            ("do" | "call", ..) if has_hidden_effect(text, tokens) => Self::Pins(Pin::Procedure),
            ("listen", ..) => Self::Pins(Pin::Listen),
            ("load", ..) => Self::Pins(Pin::Library),
            ("prepare", next, _) if next != "transaction" => Self::Pins(Pin::PreparedStatement),
            ("declare", ..) if has("hold") && !has("without") => Self::Pins(Pin::HeldCursor),
            _ if makes_temporary(text, verb, tokens) => Self::Pins(Pin::TemporaryObject),
            _ => of_functions(text, tokens),
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

/// SET SESSION CHARACTERISTICS sets up to three settings; each is one of the session when it stands alone.
fn characteristics(has: impl Fn(&str) -> bool) -> SessionEffect {
    let (isolation, deferrable) = (has("isolation"), has("deferrable"));
    // READ COMMITTED is an isolation level.
    let access = has("write") || has("only");
    let name = match (isolation, access, deferrable) {
        (true, false, false) => "default_transaction_isolation",
        (false, true, false) => "default_transaction_read_only",
        (false, false, true) => "default_transaction_deferrable",
        _ => return SessionEffect::Pins(Pin::TransactionDefaults),
    };
    SessionEffect::Set { name: name.into() }
}

/// Whether the statement makes something temporary: CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP, SELECT … INTO TEMP, or a name in `pg_temp`. EXPLAIN
/// ANALYZE may stand in front of it.
fn makes_temporary(text: &str, verb: Verb, tokens: &[Token]) -> bool {
    let is = |token: &Token, words: &[&str]| words.iter().any(|word| token.is_keyword(text, word));
    let in_schema = || {
        let is_name = |token: &&Token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord);
        tokens.iter().filter(is_name).any(|token| token.identifier(text) == "pg_temp")
    };
    let after = |position: usize| {
        let mut following = tokens[position + 1..]
            .iter()
            .skip_while(|token| is(token, &["or", "replace", "global", "local"]));
        following
            .next()
            .is_some_and(|token| is(token, &["temp", "temporary"]))
            .then(|| following.next())
    };
    tokens.iter().enumerate().any(|(position, token)| {
        if is(token, &["create"]) {
            return after(position).is_some() || in_schema();
        }
        // A table may be called `temp`, too.
        is(token, &["into"])
            && matches!(verb, Verb::Select | Verb::With | Verb::Explain)
            && !(position > 0 && is(&tokens[position - 1], &["insert", "merge"]))
            && (in_schema()
                || after(position).flatten().is_some_and(|next| {
                    matches!(next.kind, TokenKind::Word | TokenKind::QuotedWord)
                        && !is(next, &["from", "where", "union", "order", "limit", "group"])
                }))
    })
}

/// What the functions that it calls leave behind.
fn of_functions(text: &str, tokens: &[Token]) -> SessionEffect {
    let is_open = |token: &Token| text[token.range.clone()] == *"(";
    let called = |position: usize| {
        let token = tokens.get(position)?;
        let is_call = matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord) && is_open(tokens.get(position + 1)?);
        let name = is_call.then(|| token.identifier(text))?;
        PINNING_FUNCTIONS.iter().find(|(each, _)| name == *each).map(|(_, pin)| *pin)
    };
    let releases = |position: usize| {
        tokens.get(position).is_some_and(|token| {
            RELEASING_FUNCTIONS.iter().any(|name| token.is_keyword(text, name)) && tokens.get(position + 1).is_some_and(is_open)
        })
    };
    let (mut local, mut released) = (false, false);
    for position in 0..tokens.len() {
        released |= releases(position);
        match called(position) {
            None => {}
            Some(Pin::Configuration) if set_config_is_local(text, &tokens[position + 1..]) => local = true,
            Some(Pin::Configuration) => return set_config(text, tokens).unwrap_or(SessionEffect::Pins(Pin::Configuration)),
            Some(pin) => return SessionEffect::Pins(pin),
        }
    }
    if local {
        SessionEffect::SetLocal { name: "set_config".into() }
    } else if released {
        SessionEffect::Releases
    } else {
        SessionEffect::None
    }
}

/// Whether the last of the arguments, whose parenthesis these tokens begin with, is plainly `true`.
fn set_config_is_local(text: &str, tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    for (position, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close if depth == 1 => {
                return position >= 2
                    && text[tokens[position - 2].range.clone()] == *","
                    && (tokens[position - 1].is_keyword(text, "true")
                        || matches!(plain(text, &tokens[position - 1]), Some(value) if ["t", "true", "on", "yes", "1"].contains(&value)));
            }
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// `SELECT [pg_catalog.]set_config('name', 'value', false)` and nothing else is a SET.
fn set_config(text: &str, tokens: &[Token]) -> Option<SessionEffect> {
    let raw = |position: usize| tokens.get(position).map(|token| &text[token.range.clone()]);
    let is = |position: usize, word: &str| tokens.get(position).is_some_and(|token| token.is_keyword(text, word));
    let at = if is(1, "pg_catalog") && raw(2) == Some(".") { 3 } else { 1 };
    let fits = is(0, "select")
        && is(at, "set_config")
        && raw(at + 1) == Some("(")
        && raw(at + 3) == Some(",")
        && plain(text, tokens.get(at + 4)?).is_some()
        && raw(at + 5) == Some(",")
        && is(at + 6, "false")
        && raw(at + 7) == Some(")")
        && tokens.len() == at + 8;
    let name = plain(text, tokens.get(at + 2)?)?.to_ascii_lowercase();
    (fits && name != "session_authorization").then_some(SessionEffect::Set { name })
}

/// The content of a string constant without quotes or escapes in it.
fn plain<'t>(text: &'t str, token: &Token) -> Option<&'t str> {
    let content = text[token.range.clone()].strip_prefix('\'')?.strip_suffix('\'')?;
    (token.kind == TokenKind::String && !content.contains(['\'', '\\'])).then_some(content)
}
