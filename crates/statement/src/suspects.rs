//! Which names in a statement mean code that may change its session: functions that set something,
//! and what runs them unseen, such as a view or a table with a trigger.
//!
//! A connection goes from one client to another as it is only when what ran on it is known to have
//! left nothing. For most texts their words prove that: none of them is such a name. For the others
//! the session asks afterwards what the code can set.

use std::collections::{HashMap, HashSet};

use flywheel_sql::lex::TokenKind;
use flywheel_sql::{Statement, Traces, words, words_of_code};

/// What stands for everything that has no name in a statement: operators, casts.
const UNNAMED: &str = "*";

/// Words after which a relation's name stands.
const BEFORE_RELATIONS: &[&str] =
    &["from", "join", "into", "update", "table", "only", "execute", "call"];

/// Words that may stand before a parenthesis and call nothing.
const NO_FUNCTIONS: &[&str] = &[
    "select",
    "from",
    "where",
    "and",
    "or",
    "not",
    "in",
    "any",
    "some",
    "all",
    "exists",
    "values",
    "as",
    "on",
    "using",
    "by",
    "over",
    "filter",
    "then",
    "else",
    "when",
    "case",
    "like",
    "ilike",
    "between",
    "union",
    "intersect",
    "except",
    "limit",
    "offset",
    "lateral",
    "array",
    "row",
    "cast",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "decimal",
    "character",
    "varying",
    "extract",
    "explain",
    "key",
    "distinct",
    "returning",
    "set",
    "check",
    "unique",
    "with",
    "trim",
    "within",
    "group",
    "conflict",
];

/// The names, and what their code may leave behind.
#[derive(Debug, Default)]
pub struct Suspects {
    traces: HashMap<String, Traces>,
    /// The names of all functions and relations.
    functions: HashSet<String>,
    relations: HashSet<String>,
}

/// One piece of a database's code: the body of a function, an expression of a table or view.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'c> {
    /// What it is a part of.
    pub name: &'c str,
    /// Its language.
    pub language: &'c str,
    /// Its text.
    pub text: &'c str,
}

impl Piece<'_> {
    /// What it may leave behind.
    pub fn traces(self) -> Traces {
        Traces::of_function(self.language, self.text)
    }
}

/// A database's code.
#[derive(Debug)]
pub struct Code<'c> {
    /// Its pieces.
    pub pieces: Vec<Piece<'c>>,
    /// What uses what, by their names: the first runs code of the second. `*` stands for what has
    /// no name in a statement, such as an operator.
    pub uses: &'c [(String, String)],
    /// The names of all functions.
    pub functions: HashSet<String>,
    /// The names of all tables and views.
    pub relations: HashSet<String>,
}

impl Suspects {
    /// Those in a database with this code.
    pub fn new(code: Code<'_>) -> Self {
        let mut traces: HashMap<String, Traces> = HashMap::new();
        let mut changed: Vec<String> = Vec::new();
        for piece in &code.pieces {
            let of_piece = piece.traces();
            if !of_piece.is_empty() {
                traces.entry(piece.name.to_owned()).or_default().merge(&of_piece);
                changed.push(piece.name.to_owned());
            }
        }
        if !changed.is_empty() {
            // Whoever names a thing in its code runs it, as far as is known.
            let mut users: HashMap<String, Vec<String>> = HashMap::new();
            for (user, used) in code.uses {
                users.entry(used.clone()).or_default().push(user.clone());
            }
            let known: HashSet<&str> = code
                .pieces
                .iter()
                .map(|piece| piece.name)
                .chain(users.keys().map(String::as_str))
                .collect();
            let mut named: Vec<(String, String)> = Vec::new();
            for piece in &code.pieces {
                words_of_code(piece.text, |word| {
                    if word != piece.name && known.contains(word) {
                        named.push((word.to_owned(), piece.name.to_owned()));
                    }
                });
            }
            named.sort_unstable();
            named.dedup();
            for (used, user) in named {
                users.entry(used).or_default().push(user);
            }
            while let Some(name) = changed.pop() {
                let of_name = traces.get(&name).cloned().unwrap_or_default();
                for user in users.get(&name).into_iter().flatten() {
                    let entry = traces.entry(user.clone()).or_default();
                    let before = entry.clone();
                    entry.merge(&of_name);
                    if *entry != before {
                        changed.push(user.clone());
                    }
                }
            }
        }
        Self { traces, functions: code.functions, relations: code.relations }
    }

    /// What the code may leave behind that a statement's words name.
    pub fn of(&self, text: &str, statement: &Statement) -> Traces {
        let mut found = self.traces.get(UNNAMED).cloned().unwrap_or_default();
        if !self.traces.is_empty() {
            words(text, &statement.tokens, |word| {
                if let Some(traces) = self.traces.get(word) {
                    found.merge(traces);
                }
            });
        }
        found
    }

    /// Whether the statement calls a function or names a relation that isn't known here: it may be
    /// new.
    pub fn lack(&self, text: &str, statement: &Statement) -> bool {
        let tokens = &statement.tokens;
        let is_name = |kind: TokenKind| matches!(kind, TokenKind::Word | TokenKind::QuotedWord);
        let raw = |position: usize| tokens.get(position).map(|token| &text[token.range.clone()]);
        (0..tokens.len()).any(|position| {
            let token = &tokens[position];
            if !is_name(token.kind) {
                return false;
            }
            if raw(position + 1) == Some("(") {
                let name = token.identifier(text);
                let is_known = self.functions.contains(name.as_ref())
                    || self.relations.contains(name.as_ref());
                return !is_known && !NO_FUNCTIONS.contains(&name.as_ref());
            }
            let is_before = BEFORE_RELATIONS.iter().any(|word| token.is_keyword(text, word));
            if !is_before {
                return false;
            }
            // The last part of a name with a schema.
            let mut at = position + 1;
            while raw(at + 1) == Some(".") {
                at += 2;
            }
            tokens.get(at).filter(|next| is_name(next.kind)).is_some_and(|next| {
                let name = next.identifier(text);
                raw(at + 1) != Some("(")
                    && !self.relations.contains(name.as_ref())
                    && !self.functions.contains(name.as_ref())
            })
        })
    }

    /// Whether a definition with these words may make others of the names.
    pub fn concern(&self, text: &str, statement: &Statement) -> bool {
        !self.of(text, statement).is_empty()
            || !Traces::of_code(&text[statement.range.clone()]).names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use flywheel_sql::split;

    use super::*;

    fn piece<'c>(name: &'c str, text: &'c str) -> Piece<'c> {
        Piece { name, language: "plpgsql", text }
    }

    #[test]
    fn names_lead_to_code() {
        let uses = [("v", "outer_one"), ("t", "tr"), ("parent", "t"), ("plain", "harmless")];
        let suspects = Suspects::new(Code {
            pieces: vec![
                piece("sets", "BEGIN PERFORM set_config('app.tenant', x, false); END"),
                piece("outer_one", "BEGIN RETURN sets(1); END"),
                piece("tr", "BEGIN PERFORM outer_one(); RETURN NEW; END"),
                piece("harmless", "BEGIN UPDATE x SET a = 1; END"),
            ],
            uses: &uses.map(|(user, used)| (user.to_owned(), used.to_owned())),
            functions: ["sets", "outer_one", "tr", "harmless", "count"].map(str::to_owned).into(),
            relations: ["v", "t", "parent", "plain"].map(str::to_owned).into(),
        });
        let found =
            |text: &str| suspects.of(text, &split(text)[0]).names.into_iter().collect::<Vec<_>>();
        for text in [
            "SELECT sets(1)",
            "SELECT * FROM v",
            "INSERT INTO t VALUES (1)",
            "DELETE FROM public.parent",
            "DO $$ BEGIN PERFORM outer_one(); END $$",
            "SELECT query_to_xml('SELECT sets(1)', true, true, '')",
        ] {
            assert_eq!(found(text), ["app.tenant"], "{text}");
        }
        assert_eq!(found("SELECT harmless(), count(*) FROM plain WHERE a = 'sets'"), [""; 0]);
        let lacks = |text: &str| suspects.lack(text, &split(text)[0]);
        assert!(
            lacks("SELECT fresh(1)")
                && lacks("SELECT * FROM public.fresh")
                && lacks("UPDATE fresh SET a = 1")
        );
        assert!(!lacks("SELECT count(*) FROM plain p JOIN public.t ON (true) WHERE a IN (1)"));
    }
}
