//! A statement's tokens with the parentheses and the clause that each stands in.

use std::borrow::Cow;
use std::collections::HashMap;

use super::is_name;
use crate::lex::{Token, TokenKind, lex};

/// The part of a query that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// The select list.
    Select,
    From,
    /// WHERE, ON, HAVING.
    Condition,
    /// GROUP BY and ORDER BY.
    Order,
    Other,
}

/// Parentheses, or the whole statement.
#[derive(Debug)]
pub(super) struct Group {
    /// The opening parenthesis; `None`: the whole statement.
    pub(super) open: Option<usize>,
    /// The token behind the last one within.
    pub(super) close: usize,
    /// The group around it.
    pub(super) parent: usize,
    /// The innermost query that it is or stands in.
    pub(super) query: usize,
}

pub(super) struct Outline<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// Of each token: the innermost group that it stands in.
    group_of: Vec<usize>,
    clause_of: Vec<Clause>,
    pub(super) groups: Vec<Group>,
    /// Of each closing parenthesis, the opening one.
    opening: HashMap<usize, usize>,
}

impl<'t> Outline<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let tokens = lex(text);
        let mut outline = Self {
            text,
            group_of: Vec::with_capacity(tokens.len()),
            clause_of: Vec::with_capacity(tokens.len()),
            groups: vec![Group { open: None, close: tokens.len(), parent: 0, query: 0 }],
            opening: HashMap::new(),
            tokens,
        };
        let mut clauses = vec![Clause::Other];
        let mut current = 0;
        for (at, begins) in outline.query_beginnings().into_iter().enumerate() {
            let kind = outline.tokens[at].kind;
            if kind == TokenKind::Close && current != 0 {
                outline.groups[current].close = at;
                outline.opening.extend(outline.groups[current].open.map(|open| (at, open)));
                current = outline.groups[current].parent;
            }
            let query = outline.groups[current].query;
            if current == query
                && let Some(clause) = outline.begins_clause(at)
            {
                clauses[query] = clause;
            }
            outline.group_of.push(current);
            outline.clause_of.push(clauses[query]);
            if kind == TokenKind::Open {
                let new = outline.groups.len();
                outline.groups.push(Group {
                    open: Some(at),
                    close: outline.tokens.len(),
                    parent: current,
                    query: if begins { new } else { query },
                });
                clauses.push(Clause::Other);
                current = new;
            }
        }
        outline
    }

    /// Of each token, whether it is a parenthesis that a query stands in.
    fn query_beginnings(&self) -> Vec<bool> {
        const VERBS: [&str; 8] =
            ["select", "with", "values", "table", "insert", "update", "delete", "merge"];
        let mut begins = vec![false; self.tokens.len()];
        for at in (0..self.tokens.len()).rev() {
            begins[at] = self.symbol(at) == "("
                && (VERBS.iter().any(|verb| self.is(at + 1, verb))
                    || begins.get(at + 1) == Some(&true));
        }
        begins
    }

    fn begins_clause(&self, at: usize) -> Option<Clause> {
        if self.tokens[at].kind != TokenKind::Word || self.symbol_before(at) == "." {
            return None;
        }
        let before = |word: &str| at > 0 && self.is(at - 1, word);
        Some(match &*self.word(at) {
            "select" => Clause::Select,
            "from" if before("distinct") => return None,
            "from" | "using" => Clause::From,
            "on" if before("distinct") => return None,
            "where" | "on" | "having" => Clause::Condition,
            "group" | "order" => Clause::Order,
            "with" | "values" | "set" | "returning" | "limit" | "offset" | "fetch" | "for"
            | "window" | "union" | "intersect" | "except" | "insert" | "update" | "delete"
            | "merge" | "into" | "when" | "table" => Clause::Other,
            _ => return None,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    pub(super) fn is(&self, at: usize, keyword: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_keyword(self.text, keyword))
    }

    /// What stands there as written; nothing behind the end.
    pub(super) fn symbol(&self, at: usize) -> &'t str {
        self.tokens.get(at).map_or("", |token| &self.text[token.range.clone()])
    }

    pub(super) fn symbol_before(&self, at: usize) -> &'t str {
        at.checked_sub(1).map_or("", |before| self.symbol(before))
    }

    /// The token there, folded when it is a name.
    pub(super) fn word(&self, at: usize) -> Cow<'t, str> {
        self.tokens.get(at).map_or(Cow::Borrowed(""), |token| token.identifier(self.text))
    }

    pub(super) fn is_name(&self, at: usize) -> bool {
        self.kind(at).is_some_and(is_name)
    }

    pub(super) fn is_word_of(&self, at: usize, name: &str) -> bool {
        self.is_name(at) && self.word(at) == name
    }

    pub(super) fn group(&self, at: usize) -> usize {
        self.group_of.get(at).copied().unwrap_or_default()
    }

    pub(super) fn query(&self, at: usize) -> usize {
        self.groups[self.group(at)].query
    }

    pub(super) fn clause(&self, at: usize) -> Clause {
        self.clause_of.get(at).copied().unwrap_or(Clause::Other)
    }

    /// The group that a parenthesis opens.
    pub(super) fn opened(&self, at: usize) -> Option<usize> {
        self.groups.binary_search_by_key(&Some(at), |group| group.open).ok()
    }

    /// The parenthesis that this one closes.
    pub(super) fn opening(&self, close: usize) -> Option<usize> {
        self.opening.get(&close).copied()
    }

    /// Whether a name there can mean a column: not what stands in front of a dot or a call's
    /// parenthesis, nor a new name behind AS.
    pub(super) fn is_reference(&self, at: usize) -> bool {
        self.is_name(at)
            && !matches!(self.symbol(at + 1), "." | "(")
            && !(at > 0 && self.is(at - 1, "as"))
    }

    /// The name in front of a column's.
    pub(super) fn qualifier(&self, at: usize) -> Option<String> {
        let before = at
            .checked_sub(2)
            .filter(|&before| self.symbol(at - 1) == "." && self.is_name(before))?;
        Some(self.word(before).into_owned())
    }

    /// The schema and table of `schema.table.column`, where they stand here.
    pub(super) fn qualified(&self, at: usize) -> Option<(String, String)> {
        let dots = self.symbol(at + 1) == "."
            && self.symbol(at + 3) == "."
            && self.symbol_before(at) != ".";
        let names = self.is_name(at)
            && self.is_name(at + 2)
            && (self.is_name(at + 4) || self.symbol(at + 4) == "*");
        (dots && names && self.symbol(at + 5) != "(")
            .then(|| (self.word(at).into_owned(), self.word(at + 2).into_owned()))
    }

    /// Whether the token is behind a relation's name or alias in FROM, with a name and a
    /// parenthesis behind it.
    pub(super) fn follows_relation(&self, at: usize) -> bool {
        self.clause(at) == Clause::From
            && at > 0
            && self.is_name(at + 1)
            && self.symbol(at + 2) == "("
    }
}
