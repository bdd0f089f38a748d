//! What code leaves behind in the session of the statement that runs it, as far as the code's text
//! tells: bodies of functions, DO blocks, texts that a function is given to run.

use std::collections::BTreeSet;

use crate::lex::{Token, TokenKind, lex};
use crate::set_config::{Call, SettingName, null_settings};
use crate::{Pin, SessionEffect, Verb};

/// What may be in the session afterwards. Its settings can be asked for; the rest keeps the
/// connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// Settings, by name, that may be other ones.
    pub names: BTreeSet<String>,
    /// Parameters of the statement (the first is 0) whose values are names of such settings.
    pub parameters: BTreeSet<usize>,
    /// Any setting may be another one, as far as its name is known.
    pub any: bool,
    /// What isn't a setting.
    pub pins: Vec<Pin>,
    /// The text that runs isn't known: what is found afterwards needn't be all.
    pub is_unknown: bool,
    /// It may define functions, views, triggers.
    pub defines: bool,
    /// It may give these settings the values that the session has begun with.
    pub resets: BTreeSet<String>,
    /// It may do so with any.
    pub resets_any: bool,
}

/// Functions of PostgreSQL and its extensions that run a text that they are given, or read what it
/// names.
const RUNNING: &[&str] = &[
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "connectby",
    "xpath_table",
];

/// How deep texts in texts are looked into.
const MAX_DEPTH: usize = 4;

/// Words of languages that aren't read here, which may change the session.
const EFFECTS: &[&str] = &[
    "set",
    "set_config",
    "reset",
    "discard",
    "temp",
    "temporary",
    "listen",
    "prepare",
    "load",
    "setseed",
];

impl Traces {
    /// Nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those of a function's body in this language.
    #[must_use]
    pub fn of_function(language: &str, body: &str) -> Self {
        match language {
            "sql" | "plpgsql" => Self::of_code(body),
            "internal" if body == "set_config_by_name" => Self::pinned(Pin::Configuration),
            "internal" | "c" => Self::default(),
            _ if changes_something(body) => Self::pinned(Pin::Configuration),
            _ => Self::default(),
        }
    }

    /// Those of statements in SQL or PL/pgSQL.
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        let mut traces = Self::default();
        traces.add_code(code, 0);
        traces
    }

    /// Those of a statement's string constants, which code that it calls may run.
    #[must_use]
    pub fn of_strings(text: &str, tokens: &[Token]) -> Self {
        let mut traces = Self::default();
        for token in tokens.iter().filter(|token| token.kind == TokenKind::String) {
            traces.add_code(&content(&text[token.range.clone()]), 1);
        }
        traces
    }

    pub(crate) fn pinned(pin: Pin) -> Self {
        Self { pins: vec![pin], ..Self::default() }
    }

    /// That one setting may be another.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { names: BTreeSet::from([name.into()]), ..Self::default() }
    }

    /// Both.
    pub fn merge(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.parameters.extend(&other.parameters);
        self.any |= other.any;
        for pin in &other.pins {
            self.add_pin(*pin);
        }
        self.is_unknown |= other.is_unknown;
        self.defines |= other.defines;
        self.resets.extend(other.resets.iter().cloned());
        self.resets_any |= other.resets_any;
    }

    fn add_pin(&mut self, pin: Pin) {
        if !self.pins.contains(&pin) {
            self.pins.push(pin);
        }
    }

    /// A setting of this name, which may have been put together from pieces of text.
    fn add_name(&mut self, name: &str) {
        match name {
            "session authorization" | "session_authorization" => self.add_pin(Pin::SessionUser),
            "seed" => self.add_pin(Pin::RandomSeed),
            _ if is_name(name) => {
                self.names.insert(name.to_owned());
            }
            _ => self.add_pin(Pin::Configuration),
        }
    }

    fn add_code(&mut self, code: &str, depth: usize) {
        let tokens = lex(code);
        let mut start = 0;
        for (position, token) in tokens.iter().enumerate() {
            let begins = ["begin", "then", "else", "loop", "atomic"]
                .iter()
                .any(|word| token.is_keyword(code, word));
            if token.kind == TokenKind::Semicolon || begins {
                self.add_statement(code, &tokens[start..position]);
                start = position + 1;
            }
        }
        self.add_statement(code, &tokens[start..]);
        let executes = |(position, token): (usize, &Token)| {
            let next = tokens.get(position + 1);
            let is = |words: &[&str]| {
                next.is_some_and(|next| words.iter().any(|word| next.is_keyword(code, word)))
            };
            token.is_keyword(code, "execute") && !is(&["function", "procedure", "on"])
        };
        let mut runs = false;
        for (position, _) in tokens.iter().enumerate().filter(|each| executes(*each)) {
            runs = true;
            if !executes_whole_text(code, &tokens[position + 1..]) {
                self.any = true;
                self.is_unknown = true;
            }
        }
        if runs && depth < MAX_DEPTH {
            for token in tokens.iter().filter(|token| token.kind == TokenKind::String) {
                self.add_code(&content(&code[token.range.clone()]), depth + 1);
            }
        }
    }

    fn add_statement(&mut self, code: &str, tokens: &[Token]) {
        if tokens.is_empty() {
            return;
        }
        let verb = Verb::of(code, tokens);
        self.defines |= verb.is_definition();
        let effect = SessionEffect::of(code, verb, tokens);
        match &effect {
            SessionEffect::Reset { name: Some(name) } | SessionEffect::ResetLocal { name } => {
                self.resets.insert(name.clone());
            }
            SessionEffect::Reset { name: None } | SessionEffect::DiscardAll => {
                self.resets_any = true
            }
            _ => {}
        }
        for setting in null_settings(code, tokens) {
            match setting.name {
                SettingName::Known(name) => drop(self.resets.insert(name)),
                _ => self.resets_any = true,
            }
        }
        match effect {
            SessionEffect::Set { name } | SessionEffect::Reset { name: Some(name) } => {
                self.add_name(&name)
            }
            SessionEffect::Reset { name: None } | SessionEffect::DiscardAll => self.any = true,
            SessionEffect::Pins(Pin::LastValue)
            | SessionEffect::None
            | SessionEffect::Releases
            | SessionEffect::Unlisten { .. } => {}
            // Code listens on the connection that it runs on.
            SessionEffect::Listen { .. } => self.add_pin(Pin::Listen),
            SessionEffect::SetLocal { .. } | SessionEffect::ResetLocal { .. } => {}
            SessionEffect::Pins(pin) => self.add_pin(pin),
            // What is a parameter here is none of the statement that runs it.
            SessionEffect::Leaves(traces) if !traces.parameters.is_empty() => {
                self.add_pin(Pin::Configuration)
            }
            SessionEffect::Leaves(traces) => self.merge(&traces),
        }
    }

    /// Those of the functions that a statement calls by their names, of PostgreSQL's own.
    pub(crate) fn of_calls(text: &str, tokens: &[Token]) -> Self {
        let mut traces = Self::default();
        for position in 0..tokens.len() {
            let name = tokens[position].identifier(text);
            if name != "set_config" && !RUNNING.contains(&name.as_ref()) {
                continue;
            }
            let Some(call) = Call::at(text, tokens, position) else { continue };
            if call.name == "set_config" {
                traces.add_set_config(text, &call);
            } else {
                let mut is_known = false;
                for argument in &call.arguments {
                    if let [only] = argument
                        && only.kind == TokenKind::String
                    {
                        is_known = true;
                        traces.add_code(&content(&text[only.range.clone()]), 1);
                    }
                }
                traces.any |= !is_known;
                traces.is_unknown |= !is_known;
            }
        }
        let names = |wanted: &str| tokens.iter().any(|token| token.identifier(text) == wanted);
        // The rule on it sets what is asked for.
        traces.any |=
            names("pg_settings") && tokens.iter().any(|token| token.is_keyword(text, "update"));
        traces
    }

    fn add_set_config(&mut self, text: &str, call: &Call<'_>) {
        if call.is_local(text) {
            return;
        }
        let name = call.arguments.first().copied().unwrap_or_default();
        let [token, cast @ ..] = name else {
            return self.add_pin(Pin::Configuration);
        };
        let is_cast =
            cast.is_empty() || matches!(cast, [_, _, last] if last.is_keyword(text, "text"));
        match token.kind {
            TokenKind::String if is_cast => {
                self.add_name(&content(&text[token.range.clone()]).to_lowercase())
            }
            TokenKind::Parameter if is_cast => {
                match text[token.range.start + 1..token.range.end].parse::<usize>() {
                    Ok(number) if number > 0 => {
                        self.parameters.insert(number - 1);
                    }
                    _ => self.add_pin(Pin::Configuration),
                }
            }
            _ => self.add_pin(Pin::Configuration),
        }
    }
}

/// Whether a setting may have this name.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|each| each.is_alphanumeric() || matches!(each, '_' | '$' | '.'))
        && !name.ends_with('.')
}

fn changes_something(body: &str) -> bool {
    let words =
        body.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| !word.is_empty()).any(|word| {
        EFFECTS.iter().any(|effect| word.eq_ignore_ascii_case(effect)) || word.contains("advisory")
    })
}

/// What stands in a string constant, about: escapes stay.
#[must_use]
pub(crate) fn content(constant: &str) -> String {
    if let Some(rest) = constant.strip_prefix('$') {
        let tag = rest.find('$').map_or(0, |end| end + 1);
        let inner = &rest[tag..];
        let closing = tag + 1;
        return inner.get(..inner.len().saturating_sub(closing)).unwrap_or(inner).to_owned();
    }
    let inner = constant.trim_start_matches(|first| first != '\'');
    let inner = inner.strip_prefix('\'').unwrap_or(inner);
    inner.strip_suffix('\'').unwrap_or(inner).replace("''", "'")
}

/// The words of a text that may be names, in lower case where they aren't quoted; where the
/// statement runs texts, those of its strings too.
pub fn words(text: &str, tokens: &[Token], mut each: impl FnMut(&str)) {
    let is_running = |token: &Token| {
        token.is_keyword(text, "do")
            || token.is_keyword(text, "execute")
            || RUNNING.contains(&token.identifier(text).as_ref())
    };
    let depth = if tokens.iter().any(is_running) { 0 } else { MAX_DEPTH };
    put_words(text, tokens, depth, &mut each);
}

/// The same of code, with its strings.
pub fn words_of_code(code: &str, mut each: impl FnMut(&str)) {
    put_words(code, &lex(code), 0, &mut each);
}

fn put_words(text: &str, tokens: &[Token], depth: usize, each: &mut dyn FnMut(&str)) {
    for token in tokens {
        match token.kind {
            TokenKind::Word | TokenKind::QuotedWord => each(&token.identifier(text)),
            TokenKind::String if depth < MAX_DEPTH => {
                let inner = content(&text[token.range.clone()]);
                put_words(&inner, &lex(&inner), depth + 1, each);
            }
            _ => {}
        }
    }
}

/// Whether the text that EXECUTE runs is all there, but for names and values: `'…'`, or
/// `format('…', …)` without `%s`. What is put together from pieces may have words that no piece
/// has.
fn executes_whole_text(code: &str, behind: &[Token]) -> bool {
    let is_text =
        |token: Option<&Token>| token.is_some_and(|token| token.kind == TokenKind::String);
    let ends = |token: Option<&Token>| {
        token.is_none_or(|token| {
            token.kind == TokenKind::Semicolon
                || ["into", "using", "loop"].iter().any(|word| token.is_keyword(code, word))
        })
    };
    if is_text(behind.first()) {
        return ends(behind.get(1));
    }
    if !behind.first().is_some_and(|token| token.is_keyword(code, "format"))
        || !is_text(behind.get(2))
    {
        return false;
    }
    let text = content(&code[behind[2].range.clone()]);
    let mut depth = 0_usize;
    let closing = behind[1..].iter().position(|token| {
        match &code[token.range.clone()] {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    let holds_pieces = text.split('%').skip(1).any(|piece| {
        let rest =
            piece.trim_start_matches(|each: char| each.is_ascii_digit() || "$-*".contains(each));
        rest.starts_with('s')
    });
    // The comma, or the end, right behind the text.
    let is_whole =
        behind.get(3).is_some_and(|token| matches!(&code[token.range.clone()], "," | ")"));
    is_whole && !holds_pieces && closing.is_some_and(|last| ends(behind.get(last + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &str) -> Vec<String> {
        let traces = Traces::of_code(code);
        assert!(traces.pins.is_empty() && !traces.any, "{code}: {traces:?}");
        traces.names.into_iter().collect()
    }

    #[test]
    fn what_code_sets() {
        assert_eq!(names("BEGIN UPDATE t SET v = 1 WHERE k = 1; END"), [""; 0]);
        assert_eq!(
            names("BEGIN PERFORM set_config('App.Tenant', x, false); RETURN NEW; END"),
            ["app.tenant"]
        );
        assert_eq!(names("BEGIN PERFORM set_config('app.tenant', x, true); END"), [""; 0]);
        assert_eq!(
            names("BEGIN IF x THEN SET work_mem = '1MB'; ELSE SET LOCAL jit = off; END IF; END"),
            ["work_mem"]
        );
        // A text that is put together may set other names, too.
        let pieces = Traces::of_code("BEGIN EXECUTE 'SET app.tenant = ' || quote_literal(x); END");
        assert_eq!(pieces.names, BTreeSet::from(["app.tenant".to_owned()]));
        assert!(pieces.is_unknown);
        assert_eq!(names("BEGIN EXECUTE format('UPDATE %I SET a = 1', t); END"), [""; 0]);
        assert_eq!(
            names("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1; SELECT 1"),
            [""; 0]
        );
        assert_eq!(
            names(
                "SELECT query_to_xml('SELECT set_config(''a.b'', ''c'', false)', true, true, '')"
            ),
            ["a.b"]
        );
    }

    #[test]
    fn what_code_may_do_else() {
        let traces = |code: &str| Traces::of_code(code);
        assert_eq!(
            traces("BEGIN PERFORM set_config(name, value, false); END").pins,
            [Pin::Configuration]
        );
        assert_eq!(
            traces("BEGIN EXECUTE format('SET %I = %L', a, b); END").pins,
            [Pin::Configuration]
        );
        for known in [
            "BEGIN EXECUTE 'SELECT 1'; END",
            "BEGIN EXECUTE 'SELECT $1' INTO a USING b; END",
            "BEGIN EXECUTE format('SELECT %I, %L', a, lower(b)) USING c; END",
            "BEGIN FOR a IN EXECUTE format('SELECT 1') LOOP END LOOP; END",
        ] {
            assert!(!traces(known).is_unknown, "{known}");
        }
        for unknown in [
            "BEGIN EXECUTE command; END",
            "BEGIN EXECUTE 'CRE' || 'ATE TEMP TABLE t (a int)'; END",
            "BEGIN EXECUTE format('CREATE %s TABLE t (a int)', a); END",
            "BEGIN EXECUTE format('CREATE %2$-5s TABLE t (a int)', a, b); END",
            "BEGIN EXECUTE format('LIS%%') || 'TEN a'; END",
            "BEGIN EXECUTE format('a' || b); END",
        ] {
            assert!(traces(unknown).is_unknown, "{unknown}");
        }
        assert!(traces("UPDATE pg_catalog.pg_settings SET setting = '1s'").any);
        assert_eq!(traces("BEGIN CREATE TEMP TABLE t (a int); END").pins, [Pin::TemporaryObject]);
        assert_eq!(traces("BEGIN PERFORM pg_advisory_lock(1); END").pins, [Pin::AdvisoryLock]);
        assert!(traces("BEGIN RESET ALL; END").any);
        assert!(traces("BEGIN SET LOCAL work_mem TO DEFAULT; END").resets.contains("work_mem"));
        assert!(traces("BEGIN PERFORM set_config('a.b', NULL, false); END").resets.contains("a.b"));
        assert!(traces("BEGIN PERFORM set_config('a.b', v, false); END").resets.contains("a.b"));
        assert!(traces("BEGIN PERFORM set_config(n, v, false); END").resets_any);
        assert!(
            Traces::of_function(
                "plpython3u",
                "plpy.execute(\"SELECT set_config('a.b', 'c', false)\")"
            )
            .pins
                == [Pin::Configuration]
        );
    }

    #[test]
    fn strings_are_read() {
        assert_eq!(content("$x$a'b$x$"), "a'b");
        assert_eq!(content("$$a$$"), "a");
        assert_eq!(content("'it''s'"), "it's");
        assert_eq!(content("E'a'"), "a");
    }
}
