//! Places in a text in which a constant is only a value.

use crate::lex::{Token, TokenKind};

/// What a parenthesis holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// The values of IN; whether they are compared with a name.
    In {
        by_name: bool,
    },
    /// A row of an INSERT's VALUES.
    Row,
    Other,
}

/// The place of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValuePlace {
    /// The sign in front belongs to it.
    pub(crate) is_negative: bool,
    /// What it is compared with, if it is, is a name.
    pub(crate) by_name: bool,
}

/// A reader of a statement's tokens, one after the other.
pub(crate) struct Places<'t> {
    text: &'t str,
    tokens: &'t [Token],
    is_write: bool,
    open: Vec<List>,
    /// The last list that was closed.
    closed: Option<List>,
}

impl<'t> Places<'t> {
    /// At the beginning of a statement that writes, or of a query.
    pub(crate) fn new(text: &'t str, tokens: &'t [Token], is_write: bool) -> Self {
        Self { text, tokens, is_write, open: Vec::new(), closed: None }
    }

    /// Passes a token that is no constant.
    pub(crate) fn pass(&mut self, at: usize) {
        match self.tokens[at].kind {
            TokenKind::Open => self.open.push(self.list(at)),
            TokenKind::Close => self.closed = self.open.pop(),
            _ => {}
        }
    }

    /// What the parenthesis at `at` opens.
    fn list(&self, at: usize) -> List {
        if !self.is_symbol(at, "(") {
            return List::Other;
        }
        let Some(before) = at.checked_sub(1) else { return List::Other };
        if self.is_word(before, &["in"]) {
            if self.is_word(at + 1, &["select", "with", "values", "table"]) {
                return List::Other;
            }
            let not = usize::from(at >= 2 && self.is_word(at - 2, &["not"]));
            return List::In { by_name: at >= 2 + not && self.is_whole_name(at - 2 - not) };
        }
        let is_next_row = self.is_symbol(before, ",") && self.closed == Some(List::Row);
        let is_row = self.is_write
            && self.open.is_empty()
            && (self.is_word(before, &["values"]) || is_next_row);
        if is_row { List::Row } else { List::Other }
    }

    /// The place of the constant at `at`, where it is only a value.
    pub(crate) fn of_value(&self, at: usize) -> Option<ValuePlace> {
        let signed = at.checked_sub(1).filter(|&sign| self.is_sign(sign, at));
        let place = |before: usize| self.behind(before, at + 1);
        match signed.and_then(|sign| sign.checked_sub(1)).and_then(place) {
            Some(by_name) => Some(ValuePlace { is_negative: true, by_name }),
            None => at
                .checked_sub(1)
                .and_then(place)
                .map(|by_name| ValuePlace { is_negative: false, by_name }),
        }
    }

    /// Whether the token at `at` is the minus of the number at `number`, and nothing else.
    fn is_sign(&self, at: usize, number: usize) -> bool {
        self.tokens[number].kind == TokenKind::Number
            && self.is_symbol(at, "-")
            && self.tokens[at].range.end == self.tokens[number].range.start
            && (at == 0
                || self.tokens[at - 1].kind != TokenKind::Symbol
                || self.is_symbol(at - 1, ",")
                || self.tokens[at - 1].range.end < self.tokens[at].range.start)
    }

    /// Whether what stands between these two is only a value; if so, whether it is compared with a
    /// name.
    fn behind(&self, before: usize, after: usize) -> Option<bool> {
        let is_open = self.tokens[before].kind == TokenKind::Open;
        let is_closed = self.tokens.get(after).is_some_and(|after| after.kind == TokenKind::Close);
        match self.open.last() {
            Some(list @ (List::In { .. } | List::Row)) => {
                let is_element = (is_open || self.is_symbol(before, ","))
                    && (is_closed || self.is_symbol(after, ","));
                return is_element.then_some(match list {
                    List::In { by_name } => *by_name,
                    _ => true,
                });
            }
            _ if !self.ends(after) => return None,
            _ => {}
        }
        if self.is_word(before, &["limit", "offset"]) {
            return Some(true);
        }
        let (operator, first) = self.operator(before)?;
        let left = first.checked_sub(1)?;
        match operator {
            "=" | "<" | ">" | "<=" | ">=" | "<>" | "!=" => Some(self.is_whole_name(left)),
            // What is added to a column of its own, as in `n = n + 1`.
            "+" | "-" if self.is_write && self.is_name(left) && first >= 2 => {
                let (assigns, name) = self.operator(first - 2)?;
                (assigns == "=" && name.checked_sub(1).is_some_and(|name| self.is_name(name)))
                    .then_some(true)
            }
            _ => None,
        }
    }

    /// The operator that ends at `last`, as long as its characters stand together; and where it
    /// begins.
    fn operator(&self, last: usize) -> Option<(&'t str, usize)> {
        if self.tokens[last].kind != TokenKind::Symbol {
            return None;
        }
        let mut first = last;
        while first > 0
            && self.tokens[first - 1].kind == TokenKind::Symbol
            && self.tokens[first - 1].range.end == self.tokens[first].range.start
        {
            first -= 1;
        }
        let range = self.tokens[first].range.start..self.tokens[last].range.end;
        Some((&self.text[range], first))
    }

    /// Whether a value in front of this token is the whole side of an operator.
    fn ends(&self, after: usize) -> bool {
        const WORDS: [&str; 17] = [
            "and",
            "or",
            "order",
            "group",
            "limit",
            "offset",
            "for",
            "fetch",
            "having",
            "union",
            "except",
            "intersect",
            "window",
            "where",
            "from",
            "returning",
            "on",
        ];
        let Some(token) = self.tokens.get(after) else { return true };
        match token.kind {
            TokenKind::Close | TokenKind::Semicolon => true,
            TokenKind::Word => self.is_word(after, &WORDS),
            // The next assignment.
            TokenKind::Symbol => {
                self.is_write && self.open.is_empty() && self.is_symbol(after, ",")
            }
            _ => false,
        }
    }

    /// Whether all that stands on the left side of an operator is a name, which ends at `last`: not
    /// `1::int` nor `interval '1' day`, which are known before rows are read.
    fn is_whole_name(&self, last: usize) -> bool {
        const BEFORE: [&str; 12] = [
            "select", "distinct", "where", "and", "or", "not", "on", "having", "by", "when",
            "then", "set",
        ];
        let mut first = last;
        while first >= 2 && self.is_symbol(first - 1, ".") {
            first -= 2;
        }
        let begins = first.checked_sub(1).is_none_or(|before| {
            self.tokens[before].kind == TokenKind::Open
                || self.is_symbol(before, ",")
                || self.is_word(before, &BEFORE)
        });
        begins && (first..=last).step_by(2).all(|at| self.is_name(at))
    }

    /// A column, or something else that isn't known before rows are read.
    fn is_name(&self, at: usize) -> bool {
        match self.tokens[at].kind {
            TokenKind::QuotedWord => true,
            TokenKind::Word => {
                !self.is_word(at, &["end", "true", "false", "null", "default", "all", "any"])
            }
            _ => false,
        }
    }

    fn is_word(&self, at: usize, words: &[&str]) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| words.iter().any(|word| token.is_keyword(self.text, word)))
    }

    fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| self.text[token.range.clone()] == *symbol)
    }
}
