//! `ONLY`, which sqlparser takes for a table's name: a table without those that inherit from it.

use std::ops::Range;

use crate::lex::{Token, TokenKind, lex};

/// A table that is named with ONLY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Only {
    /// All of it, parentheses included.
    pub(crate) range: Range<usize>,
    /// The name alone.
    pub(crate) name: Range<usize>,
}

impl Only {
    /// Those of a statement, in their order.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let tokens = lex(text);
        (0..tokens.len()).filter_map(|at| Self::at(text, &tokens, at)).collect()
    }

    /// The word is reserved: in front of a name, and where a relation may stand, it means nothing else.
    fn at(text: &str, tokens: &[Token], start: usize) -> Option<Self> {
        let before = tokens.get(start.checked_sub(1)?)?;
        let is_place = ["from", "join", "update", "using", "into", "table"]
            .iter()
            .any(|word| before.is_keyword(text, word))
            || before.kind == TokenKind::Open
            || text[before.range.clone()] == *",";
        if !is_place || !tokens[start].is_keyword(text, "only") {
            return None;
        }
        let is_name = |at: usize| {
            tokens
                .get(at)
                .is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
        };
        let is_in_parentheses = tokens.get(start + 1)?.kind == TokenKind::Open;
        let first = start + 1 + usize::from(is_in_parentheses);
        if !is_name(first) {
            return None;
        }
        let mut last = first;
        while tokens.get(last + 1).is_some_and(|token| text[token.range.clone()] == *".") && is_name(last + 2) {
            last += 2;
        }
        let end = last + usize::from(is_in_parentheses);
        if is_in_parentheses && tokens.get(end)?.kind != TokenKind::Close {
            return None;
        }
        Some(Self {
            range: tokens[start].range.start..tokens[end].range.end,
            name: tokens[first].range.start..tokens[last].range.end,
        })
    }
}

/// The text with blanks in the place of ONLY and its parentheses.
pub(crate) fn without_only(text: &str, all: &[Only]) -> String {
    let mut out = text.to_owned();
    for only in all {
        for around in [only.range.start..only.name.start, only.name.end..only.range.end] {
            // Places are counted in lines and characters.
            let blank = |character| if character == '\n' { '\n' } else { ' ' };
            let blanks: String = text[around.clone()].chars().map(blank).collect();
            out.replace_range(around, &blanks);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_alone() {
        let found = |text: &str| {
            let all = Only::all(text);
            let found: Vec<_> = all.iter().map(|only| text[only.range.clone()].to_owned()).collect();
            (found.join("; "), without_only(text, &all))
        };
        let pair = |all: &str, left: &str| (all.to_owned(), left.to_owned());
        assert_eq!(found("SELECT * FROM ONLY t"), pair("ONLY t", "SELECT * FROM      t"));
        assert_eq!(
            found("SELECT 1 FROM a, only (s.\"T\") x JOIN ONLY b USING (c)"),
            pair("only (s.\"T\"); ONLY b", "SELECT 1 FROM a,       s.\"T\"  x JOIN      b USING (c)")
        );
        assert_eq!(found("UPDATE ONLY t SET a = 1"), pair("ONLY t", "UPDATE      t SET a = 1"));
        for text in [
            "SELECT a FROM t FETCH FIRST 2 ROWS ONLY",
            "SELECT 'from only t'",
            "SELECT f(\"only\" , x)",
        ] {
            assert_eq!(found(text), pair("", text));
        }
    }
}
