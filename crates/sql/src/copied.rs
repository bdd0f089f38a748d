//! `COPY table TO …`, which is COPY of a query of its columns.

use crate::RelationName;
use crate::lex::{Token, TokenKind};
use crate::whole::relation_name;

/// A table that is copied out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable<'t> {
    /// Its name.
    pub name: RelationName,
    /// Its name as written.
    pub written: &'t str,
    /// Its columns as written; `None`: those that PostgreSQL copies.
    pub columns: Option<&'t str>,
    /// All that stands behind, from TO on.
    pub rest: &'t str,
    /// Whether the client gets the rows, rather than a file or program on the server.
    pub is_to_client: bool,
}

impl<'t> CopiedTable<'t> {
    /// Reads the statement; `None` for every other than `COPY table [(columns)] TO …`.
    #[must_use]
    pub fn of(text: &'t str, tokens: &[Token]) -> Option<Self> {
        let is = |at: usize, word: &str| {
            tokens.get(at).is_some_and(|token| token.is_keyword(text, word))
        };
        if !is(0, "copy") {
            return None;
        }
        let (name, end) = relation_name(text, tokens, 1)?;
        let written = text.get(tokens[1].range.start..tokens[end - 1].range.end)?;
        let (mut to, mut columns) = (end, None);
        if tokens.get(end)?.kind == TokenKind::Open {
            let close =
                end + tokens[end..].iter().position(|token| token.kind == TokenKind::Close)?;
            columns = Some(text.get(tokens[end].range.end..tokens[close].range.start)?);
            to = close + 1;
        }
        is(to, "to").then_some(())?;
        Some(Self {
            name,
            written,
            columns,
            rest: text.get(tokens[to].range.start..tokens.last()?.range.end)?,
            is_to_client: is(to + 1, "stdout") || is(to + 1, "stdin"),
        })
    }

    /// The same as COPY of a query of these columns.
    #[must_use]
    pub fn as_query(&self, columns: &str) -> String {
        format!("COPY (SELECT {columns} FROM {}) {}", self.written, self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn tables_and_their_columns() {
        let text = "COPY public.\"T\" (a, b) TO STDOUT (FORMAT csv)";
        let copied = CopiedTable::of(text, &lex(text)).unwrap();
        assert_eq!(
            (copied.name.name.as_str(), copied.columns, copied.is_to_client),
            ("T", Some("a, b"), true)
        );
        assert_eq!(
            copied.as_query("a, b"),
            "COPY (SELECT a, b FROM public.\"T\") TO STDOUT (FORMAT csv)"
        );
        for text in ["COPY (SELECT 1) TO STDOUT", "COPY t FROM STDIN", "SELECT 1"] {
            assert_eq!(CopiedTable::of(text, &lex(text)), None, "{text}");
        }
        let text = "COPY t TO PROGRAM 'x'";
        assert!(!CopiedTable::of(text, &lex(text)).unwrap().is_to_client);
    }
}
