//! Statements about whole tables, which are read from their words: COPY of a table, TRUNCATE, ALTER
//! TABLE and what drops tables along with others.

use crate::RelationName;
use crate::lex::{Token, TokenKind};

/// Where COPY … FROM takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySource {
    /// The client sends them.
    Stdin,
    /// A file or a program on the server.
    Server,
}

/// The table of `COPY table [(columns)] FROM …`, and where the rows come from. `None` for every
/// other statement.
#[must_use]
pub fn copy_from(text: &str, tokens: &[Token]) -> Option<(RelationName, CopySource)> {
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    if !is(0, "copy") {
        return None;
    }
    // The syntax before 7.3: COPY BINARY table.
    let start = 1 + usize::from(is(1, "binary") && !is(2, "from"));
    let (name, mut at) = relation_name(text, tokens, start)?;
    if tokens.get(at).is_some_and(|token| token.kind == TokenKind::Open) {
        at += tokens[at..].iter().position(|token| token.kind == TokenKind::Close)? + 1;
    }
    if !is(at, "from") {
        return None;
    }
    let source = if is(at + 1, "stdin") || is(at + 1, "stdout") {
        CopySource::Stdin
    } else {
        CopySource::Server
    };
    Some((name, source))
}

/// The tables of TRUNCATE; `None` for every other statement.
#[must_use]
pub fn truncated(text: &str, tokens: &[Token]) -> Option<Vec<RelationName>> {
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    let is_symbol = |at: usize, symbol: &str| {
        tokens.get(at).is_some_and(|token| text[token.range.clone()] == *symbol)
    };
    if !is(0, "truncate") {
        return None;
    }
    let mut at = 1 + usize::from(is(1, "table"));
    let mut names = Vec::new();
    loop {
        at += usize::from(is(at, "only"));
        let (name, next) = relation_name(text, tokens, at)?;
        names.push(name);
        at = next + usize::from(is_symbol(next, "*"));
        if !is_symbol(at, ",") {
            return Some(names);
        }
        at += 1;
    }
}

/// The table of ALTER TABLE; `None` for every other statement, and for ALTER TABLE ALL IN
/// TABLESPACE.
#[must_use]
pub fn altered(text: &str, tokens: &[Token]) -> Option<RelationName> {
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    if !is(0, "alter") || !is(1, "table") || (is(2, "all") && is(3, "in")) {
        return None;
    }
    let mut at = if is(2, "if") && is(3, "exists") { 4 } else { 2 };
    at += usize::from(is(at, "only"));
    relation_name(text, tokens, at).map(|(name, _)| name)
}

/// Whether a statement may drop tables, or columns of them, that it doesn't name: DROP SCHEMA, DROP
/// OWNED, and whatever is dropped with CASCADE; or give them another name: ALTER SCHEMA … RENAME.
#[must_use]
pub fn drops_unnamed(text: &str, tokens: &[Token]) -> bool {
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    let has = |word: &str| tokens.iter().any(|token| token.is_keyword(text, word));
    (is(0, "drop") && (is(1, "owned") || has("cascade")))
        || (is(0, "alter") && is(1, "schema") && has("rename"))
}

/// A name of one to three parts, and what comes behind it.
pub(crate) fn relation_name(
    text: &str,
    tokens: &[Token],
    start: usize,
) -> Option<(RelationName, usize)> {
    let word = |at: usize| {
        let token = tokens.get(at)?;
        matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord)
            .then(|| token.identifier(text).into_owned())
    };
    let mut name = RelationName { schema: None, name: word(start)? };
    let mut at = start + 1;
    while tokens.get(at).is_some_and(|token| text[token.range.clone()] == *".") {
        name.schema = Some(std::mem::replace(&mut name.name, word(at + 1)?));
        at += 2;
    }
    Some((name, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    fn copied(text: &str) -> Option<(String, CopySource)> {
        copy_from(text, &lex(text)).map(|(name, source)| (name.to_string(), source))
    }

    fn emptied(text: &str) -> Option<Vec<String>> {
        truncated(text, &lex(text)).map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_table_of_a_copy() {
        let stdin = |name: &str| Some((name.to_owned(), CopySource::Stdin));
        assert_eq!(copied("COPY t FROM STDIN"), stdin("t"));
        assert_eq!(copied("copy \"T\" (a, \"from\") from stdin with (format csv)"), stdin("T"));
        assert_eq!(copied("COPY BINARY s.t FROM stdin"), stdin("s.t"));
        assert_eq!(copied("COPY binary FROM stdin"), stdin("binary"));
        assert_eq!(copied("COPY t FROM '/tmp/x'"), Some(("t".into(), CopySource::Server)));
        assert_eq!(copied("COPY t FROM PROGRAM 'cat'"), Some(("t".into(), CopySource::Server)));
        assert_eq!(copied("COPY t TO STDOUT"), None);
        assert_eq!(copied("COPY (SELECT 1) TO STDOUT"), None);
    }

    #[test]
    fn the_table_of_an_alteration() {
        let name = |text: &str| altered(text, &lex(text)).map(|name| name.to_string());
        assert_eq!(name("ALTER TABLE t ADD COLUMN a int"), Some("t".into()));
        assert_eq!(name("alter table if exists only S.\"T\" * drop b"), Some("s.T".into()));
        assert_eq!(name("ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b"), None);
        assert_eq!(name("ALTER INDEX t RENAME TO u"), None);
    }

    #[test]
    fn drops_of_more_than_is_named() {
        let drops = |text: &str| drops_unnamed(text, &lex(text));
        assert!(
            drops("DROP SCHEMA s CASCADE")
                && drops("drop owned by current_user")
                && drops("DROP TYPE mood cascade")
        );
        assert!(drops("ALTER SCHEMA s RENAME TO t") && !drops("ALTER SCHEMA s OWNER TO t"));
        assert!(
            drops("DROP TABLE t CASCADE")
                && !drops("DROP SCHEMA s")
                && !drops("DROP TABLE t")
                && !drops("DROP INDEX \"cascade\"")
        );
    }

    #[test]
    fn the_tables_of_a_truncate() {
        let names = |list: &[&str]| Some(list.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(emptied("TRUNCATE t"), names(&["t"]));
        assert_eq!(
            emptied("TRUNCATE TABLE ONLY s.t *, \"U\" RESTART IDENTITY CASCADE"),
            names(&["s.t", "U"])
        );
        assert_eq!(emptied("DELETE FROM t"), None);
    }
}
