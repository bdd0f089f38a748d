//! Which columns a statement can mean: those whose names stand in it, unless it takes rows whole.
//!
//! Rows of a read may have NULL in columns that the statement can't mean: what it names is known
//! from its words alone, and where a `*`, a whole row or NATURAL could mean more, everything is
//! read. Rows to be written are always whole.

use std::collections::BTreeSet;

use crate::Relation;
use crate::lex::{Token, TokenKind};

/// Every name in the text; `None` where the statement may mean columns that it doesn't name.
pub(crate) fn mentions(
    text: &str,
    tokens: &[Token],
    relations: &[Relation],
) -> Option<BTreeSet<String>> {
    let is_word = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord);
    let symbol = |position: Option<usize>| {
        position.and_then(|position| tokens.get(position)).map(|token| &text[token.range.clone()])
    };
    if relations.iter().any(|relation| relation.renames_columns) {
        return None;
    }
    let mut names = BTreeSet::new();
    for (position, token) in tokens.iter().enumerate() {
        let previous = position.checked_sub(1);
        if symbol(Some(position)) == Some("*") && is_all(tokens, position, text) {
            return None;
        }
        if token.is_keyword(text, "natural") || token.is_keyword(text, "table") {
            return None;
        }
        if !is_word(token) {
            continue;
        }
        let name = token.identifier(text);
        // A table's name, or its alias, stands for the whole row but where it is given and in front
        // of a column.
        let is_whole_row = symbol(Some(position + 1)) != Some(".") && symbol(previous) != Some(".");
        let is_qualifier = relations.iter().any(|relation| relation.qualifier() == name);
        if is_whole_row
            && is_qualifier
            && !relations.iter().any(|relation| gives(tokens, position, relation, text))
        {
            return None;
        }
        names.insert(name.into_owned());
    }
    Some(names)
}

/// Every `qualifier.name` in the text: a column, or else a function of the row that the qualifier
/// stands for, as in `name(qualifier)`.
pub(crate) fn members(text: &str, tokens: &[Token]) -> BTreeSet<(String, String)> {
    let is_word = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord);
    let member = |three: &[Token]| match three {
        [qualifier, dot, name]
            if is_word(qualifier) && text[dot.range.clone()] == *"." && is_word(name) =>
        {
            Some((qualifier.identifier(text).into_owned(), name.identifier(text).into_owned()))
        }
        _ => None,
    };
    tokens.windows(3).filter_map(member).collect()
}

/// Whether a token is (a part of) the relation's name, or the alias behind it.
fn gives(tokens: &[Token], position: usize, relation: &Relation, text: &str) -> bool {
    if relation.range.contains(&tokens[position].range.start) {
        return true;
    }
    let ends = |position: Option<usize>| {
        position.is_some_and(|position| tokens[position].range.end == relation.range.end)
    };
    let previous = position.checked_sub(1);
    ends(previous)
        || (previous.is_some_and(|previous| tokens[previous].is_keyword(text, "as"))
            && ends(position.checked_sub(2)))
}

/// Whether a `*` stands for columns, rather than for a product or in `count(*)`.
fn is_all(tokens: &[Token], position: usize, text: &str) -> bool {
    let Some(previous) = position.checked_sub(1).map(|previous| &tokens[previous]) else {
        return true;
    };
    let is_counted = previous.kind == TokenKind::Open
        && position
            .checked_sub(2)
            .is_some_and(|function| tokens[function].is_keyword(text, "count"));
    let is_factor = match previous.kind {
        TokenKind::Word => !["select", "distinct", "all", "returning"]
            .iter()
            .any(|keyword| previous.is_keyword(text, keyword)),
        TokenKind::QuotedWord | TokenKind::Number | TokenKind::String | TokenKind::Parameter => {
            true
        }
        _ => false,
    };
    !is_counted && !is_factor
}

#[cfg(test)]
mod tests {
    use crate::parse;

    fn mentions(text: &str) -> Option<Vec<String>> {
        parse(text).unwrap().mentions.map(|names| names.into_iter().collect())
    }

    #[test]
    fn names_are_found() {
        let names = mentions("SELECT o.\"Id\", count(*), sum(price * 2) FROM public.orders AS o WHERE o.STATE = 'x' GROUP BY 1").unwrap();
        for name in ["Id", "price", "state"] {
            assert!(names.iter().any(|each| each == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|each| each == "x"));
    }

    #[test]
    fn whole_rows_are_all_columns() {
        for text in [
            "SELECT * FROM t",
            "SELECT t.* FROM t",
            "SELECT t FROM t",
            "SELECT to_jsonb(o) FROM t o",
            "SELECT count(o) FROM t AS o",
            "SELECT 1 FROM t NATURAL JOIN u",
            "SELECT id FROM t AS x(id, b)",
            "WITH w AS (SELECT * FROM t) SELECT id FROM w",
            "SELECT DISTINCT ON (a) * FROM t",
            "SELECT a FROM t WHERE (t) IS NULL",
            "SELECT a FROM t ORDER BY t",
        ] {
            assert_eq!(mentions(text), None, "{text}");
        }
        for text in [
            "SELECT t.a FROM t",
            "SELECT a FROM public.t",
            "SELECT a FROM t u WHERE u.b = 1",
            "SELECT a FROM \"t\" AS u JOIN v ON u.b = v.b",
            "SELECT public.t.a FROM public.t",
        ] {
            assert!(mentions(text).is_some(), "{text}");
        }
    }
}
