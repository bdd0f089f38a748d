//! What a statement leaves behind in its session, found from its words. A server connection is
//! shared, so whatever outlives the statement must be known: settings are kept and replayed, the
//! rest keeps the connection with its client.
//!
//! What code in a text leaves behind is found in `traces.rs`. `tests/e2e/settings/` has a line for
//! each SET and function.

use crate::cursor::is_held;
use crate::lex::{Token, TokenKind};
use crate::traces::content;
use crate::{Traces, Verb};

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
    /// `SET LOCAL name …` or `SET TRANSACTION …` (`transaction`): until the end of the transaction
    /// block.
    SetLocal {
        /// The setting.
        name: String,
    },
    /// `SET LOCAL name TO DEFAULT`
    ResetLocal {
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
    /// What code that it runs may have set, or a setting whose value depends on more than the
    /// statement.
    Leaves(Box<Traces>),
    /// `LISTEN channel`
    Listen {
        /// The channel, as PostgreSQL reads its name.
        channel: String,
    },
    /// `UNLISTEN channel`, or `UNLISTEN *` (`None`).
    Unlisten {
        /// The channel.
        channel: Option<String>,
    },
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
    /// A cursor WITH HOLD.
    HeldCursor,
    /// The last value of a sequence was asked for.
    LastValue,
    /// A loaded library.
    Library,
    /// LISTEN in code, or where the session keeps its connection anyhow.
    Listen,
    /// A statement prepared by SQL.
    PreparedStatement,
    /// The random seed.
    RandomSeed,
    /// SET SESSION AUTHORIZATION.
    SessionUser,
    /// A temporary table, view, sequence, function, or a search path that makes what is created
    /// temporary.
    TemporaryObject,
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
            Self::HeldCursor => "a cursor WITH HOLD",
            Self::LastValue => "the session's last sequence value",
            Self::Library => "a loaded library",
            Self::Listen => "LISTEN",
            Self::PreparedStatement => "a statement prepared by SQL",
            Self::RandomSeed => "the session's random seed",
            Self::SessionUser => "another session user",
            Self::TemporaryObject => "a temporary object",
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
            Self::AdvisoryLock
                | Self::HeldCursor
                | Self::Listen
                | Self::PreparedStatement
                | Self::TemporaryObject
        )
    }

    /// Whether nothing of it is left after a ROLLBACK.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        matches!(
            self,
            Self::Configuration
                | Self::HeldCursor
                | Self::Listen
                | Self::SessionUser
                | Self::TemporaryObject
        )
    }
}

/// Functions that leave something in the server connection.
const PINNING_FUNCTIONS: &[(&str, Pin)] = &[
    ("pg_advisory_lock", Pin::AdvisoryLock),
    ("pg_advisory_lock_shared", Pin::AdvisoryLock),
    ("pg_try_advisory_lock", Pin::AdvisoryLock),
    ("pg_try_advisory_lock_shared", Pin::AdvisoryLock),
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
const RELEASING_FUNCTIONS: &[&str] =
    &["pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"];

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
            ("set", "transaction", _) => Self::SetLocal { name: "transaction".into() },
            ("set", "local", "time")
                if tokens.last().is_some_and(|last| last.is_keyword(text, "local")) =>
            {
                Self::default_of(text, tokens)
            }
            ("set", "local", "time") if !is_to_default(text, tokens) => {
                Self::SetLocal { name: "timezone".into() }
            }
            ("set", "local", name) if !is_to_default(text, tokens) => {
                Self::SetLocal { name: dotted(text, tokens, 2, name) }
            }
            ("set", ..)
                if tokens.last().is_some_and(|last| last.is_keyword(text, "default"))
                    || (has("zone") && has("local")) =>
            {
                Self::default_of(text, tokens)
            }
            ("set", "session", "characteristics") => characteristics(has),
            ("set", "session", "authorization") => {
                Self::Set { name: "session authorization".into() }
            }
            // Without a value it is to the default.
            ("set", "names", "") => Self::Reset { name: Some("client_encoding".into()) },
            ("set", "session", "time") | ("set", "time", "zone") => {
                Self::Set { name: "timezone".into() }
            }
            ("set", "session", name) => set(dotted(text, tokens, 2, name), has("current")),
            ("set", name, _) => set(dotted(text, tokens, 1, name), has("current")),
            ("reset", "all", _) => Self::Reset { name: None },
            ("reset", "time", _) => Self::Reset { name: Some("timezone".into()) },
            ("reset", "session", _) => Self::Reset { name: Some("session authorization".into()) },
            ("reset", name, _) => Self::Reset { name: Some(dotted(text, tokens, 1, name)) },
            ("discard", "all", _) => Self::DiscardAll,
            ("listen" | "unlisten", ..) => listens(text, tokens),
            ("close" | "deallocate" | "discard" | "drop", ..) => Self::Releases,
            ("do", ..) => of_traces(of_block(text, tokens)),
            ("load", ..) => Self::Pins(Pin::Library),
            ("prepare", next, _) if next != "transaction" => match of_functions(text, verb, tokens)
            {
                Self::None | Self::SetLocal { .. } | Self::Releases => {
                    Self::Pins(Pin::PreparedStatement)
                }
                // EXECUTE leaves what isn't known from its words.
                _ => Self::Leaves(Box::new(Traces {
                    pins: vec![Pin::PreparedStatement, Pin::Configuration],
                    ..Traces::default()
                })),
            },
            ("declare", ..) if is_held(text, tokens) => {
                with_pin(Pin::HeldCursor, of_functions(text, verb, tokens))
            }
            _ if makes_temporary(text, verb, tokens) => {
                with_pin(Pin::TemporaryObject, of_functions(text, verb, tokens))
            }
            _ => of_functions(text, verb, tokens),
        }
    }

    /// The same, of a statement that runs code that may leave this behind.
    #[must_use]
    pub fn with_code(self, verb: Verb, code: &Traces) -> Self {
        let mut traces = match self {
            // Nothing in it runs.
            Self::Set { .. }
            | Self::Reset { .. }
            | Self::DiscardAll
            | Self::Listen { .. }
            | Self::Unlisten { .. } => return self,
            Self::None | Self::SetLocal { .. } | Self::ResetLocal { .. } | Self::Releases => {
                Traces::default()
            }
            Self::Pins(pin) => Traces::pinned(pin),
            Self::Leaves(traces) => *traces,
        };
        if verb == Verb::Prepare {
            // What EXECUTE leaves isn't known from its words.
            traces.merge(&Traces::pinned(Pin::Configuration));
        } else {
            traces.merge(code);
        }
        of_traces(traces)
    }

    /// What may keep the connection.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        match self {
            Self::Pins(pin) => std::slice::from_ref(pin),
            Self::Leaves(traces) => &traces.pins,
            _ => &[],
        }
    }
}

/// SET of a setting. DateStyle keeps what the value doesn't name, and FROM CURRENT names none: what
/// it is then is asked for.
fn set(name: String, from_current: bool) -> SessionEffect {
    match name.as_str() {
        "seed" => SessionEffect::Pins(Pin::RandomSeed),
        // They end with the transaction.
        "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
            SessionEffect::SetLocal { name: "transaction".into() }
        }
        "datestyle" => SessionEffect::Leaves(Box::new(Traces::named(name))),
        _ if from_current => SessionEffect::Leaves(Box::new(Traces::named(name))),
        _ => SessionEffect::Set { name },
    }
}

/// LISTEN or UNLISTEN. What is neither is refused by PostgreSQL.
fn listens(text: &str, tokens: &[Token]) -> SessionEffect {
    let is_listen = tokens.first().is_some_and(|first| first.is_keyword(text, "listen"));
    match tokens.get(1) {
        Some(name) if matches!(name.kind, TokenKind::Word | TokenKind::QuotedWord) => {
            let channel = name.identifier(text).into_owned();
            if is_listen {
                SessionEffect::Listen { channel }
            } else {
                SessionEffect::Unlisten { channel: Some(channel) }
            }
        }
        _ if is_listen => SessionEffect::Pins(Pin::Listen),
        _ => SessionEffect::Unlisten { channel: None },
    }
}

fn of_traces(traces: Traces) -> SessionEffect {
    match &traces.pins[..] {
        _ if traces.is_empty() => SessionEffect::None,
        [pin] if traces == Traces::pinned(*pin) => SessionEffect::Pins(*pin),
        _ => SessionEffect::Leaves(Box::new(traces)),
    }
}

/// The effect of a statement that leaves this, too.
fn with_pin(pin: Pin, effect: SessionEffect) -> SessionEffect {
    match effect {
        SessionEffect::Pins(other) if other != pin => {
            of_traces(Traces { pins: vec![pin, other], ..Traces::default() })
        }
        SessionEffect::Leaves(mut traces) => {
            traces.merge(&Traces::pinned(pin));
            SessionEffect::Leaves(traces)
        }
        SessionEffect::Set { name } => {
            SessionEffect::Leaves(Box::new(Traces { pins: vec![pin], ..Traces::named(name) }))
        }
        _ => SessionEffect::Pins(pin),
    }
}

/// What the code of a DO block leaves behind.
fn of_block(text: &str, tokens: &[Token]) -> Traces {
    let mut traces = Traces::default();
    let language = tokens.iter().position(|token| token.is_keyword(text, "language"));
    let language = language.and_then(|position| tokens.get(position + 1));
    let language = language.map(|language| match language.kind {
        TokenKind::String => content(&text[language.range.clone()]).into(),
        _ => language.identifier(text),
    });
    let language = language.unwrap_or_else(|| "plpgsql".into());
    for token in tokens.iter().filter(|token| token.kind == TokenKind::String) {
        traces.merge(&Traces::of_function(&language, &content(&text[token.range.clone()])));
    }
    traces
}

/// SET … TO DEFAULT.
fn is_to_default(text: &str, tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|last| last.is_keyword(text, "default"))
}

impl SessionEffect {
    /// `SET [SESSION] name TO DEFAULT` is RESET; with LOCAL it ends with the block.
    fn default_of(text: &str, tokens: &[Token]) -> Self {
        let word = |position: usize| {
            tokens
                .get(position)
                .map_or(std::borrow::Cow::Borrowed(""), |token| token.identifier(text))
        };
        let is_local =
            word(1) == "local" && word(2) != "time" || word(1) == "local" && word(3) == "zone";
        let at = if is_local || word(1) == "session" { 2 } else { 1 };
        let name = match word(at).as_ref() {
            "time" => "timezone".to_owned(),
            name => dotted(text, tokens, at, name),
        };
        if is_local { Self::ResetLocal { name } } else { Self::Reset { name: Some(name) } }
    }
}

/// A setting's name: `myapp.user_id` is three tokens.
fn dotted(text: &str, tokens: &[Token], position: usize, first: &str) -> String {
    let dot = tokens.get(position + 1).is_some_and(|token| text[token.range.clone()] == *".");
    let name = match tokens.get(position + 2) {
        Some(second) if dot => format!("{first}.{}", second.identifier(text)),
        _ => first.to_owned(),
    };
    // Case doesn't matter in names of settings, quoted or not.
    if name == "names" { "client_encoding".to_owned() } else { name.to_lowercase() }
}

/// SET SESSION CHARACTERISTICS sets up to three settings; each is one of the session when it stands
/// alone.
fn characteristics(has: impl Fn(&str) -> bool) -> SessionEffect {
    let (isolation, deferrable) = (has("isolation"), has("deferrable"));
    // READ COMMITTED is an isolation level.
    let access = has("write") || has("only");
    let name = match (isolation, access, deferrable) {
        (true, false, false) => "default_transaction_isolation",
        (false, true, false) => "default_transaction_read_only",
        (false, false, true) => "default_transaction_deferrable",
        _ => {
            let names = [
                "default_transaction_isolation",
                "default_transaction_read_only",
                "default_transaction_deferrable",
            ];
            return SessionEffect::Leaves(Box::new(Traces {
                names: names.into_iter().map(str::to_owned).collect(),
                ..Traces::default()
            }));
        }
    };
    SessionEffect::Set { name: name.into() }
}

/// Whether the statement makes something temporary: CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP,
/// SELECT … INTO TEMP, or a name in `pg_temp`. EXPLAIN ANALYZE may stand in front of it.
fn makes_temporary(text: &str, verb: Verb, tokens: &[Token]) -> bool {
    let is = |token: &Token, words: &[&str]| words.iter().any(|word| token.is_keyword(text, word));
    let in_schema = || {
        let is_name =
            |token: &&Token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord);
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
fn of_functions(text: &str, verb: Verb, tokens: &[Token]) -> SessionEffect {
    let is_open = |token: &Token| text[token.range.clone()] == *"(";
    let (mut pins, mut released, mut local) = (Traces::default(), false, false);
    for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord) || !is_open(next) {
            continue;
        }
        let name = token.identifier(text);
        released |= RELEASING_FUNCTIONS.iter().any(|each| name == *each);
        local |= name == "set_config";
        if let Some((_, pin)) = PINNING_FUNCTIONS.iter().find(|(each, _)| name == *each)
            // A default, or a view, asks later.
            && !(*pin == Pin::LastValue && verb.is_definition())
        {
            pins.merge(&Traces::pinned(*pin));
        }
    }
    let calls = Traces::of_calls(text, tokens);
    if pins.is_empty()
        && let Some(set) = set_config(text, tokens)
    {
        return set;
    }
    pins.merge(&calls);
    match of_traces(pins) {
        SessionEffect::None if local => SessionEffect::SetLocal { name: "set_config".into() },
        SessionEffect::None if released => SessionEffect::Releases,
        effect => effect,
    }
}

/// `SELECT [pg_catalog.]set_config('name', 'value', false)` and nothing else is a SET.
fn set_config(text: &str, tokens: &[Token]) -> Option<SessionEffect> {
    let raw = |position: usize| tokens.get(position).map(|token| &text[token.range.clone()]);
    let is = |position: usize, word: &str| {
        tokens.get(position).is_some_and(|token| token.is_keyword(text, word))
    };
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
    (fits && !matches!(name.as_str(), "session_authorization" | "seed" | "datestyle"))
        .then_some(SessionEffect::Set { name })
}

/// The content of a string constant without quotes or escapes in it.
fn plain<'t>(text: &'t str, token: &Token) -> Option<&'t str> {
    let content = text[token.range.clone()].strip_prefix('\'')?.strip_suffix('\'')?;
    (token.kind == TokenKind::String && !content.contains(['\'', '\\'])).then_some(content)
}
