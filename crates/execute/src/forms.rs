//! Forms of statements that their words tell, and the same statement in another form.

use flywheel_sql::lex::{Token, TokenKind};
use flywheel_sql::{CopiedTable, ParseError, Parsed, Pin, Through, Verb, parse_through};
use flywheel_statement::Analysis;

/// Reads the text from `start` on, to which ranges in the result relate.
pub(crate) fn parse_from(
    text: &str,
    start: usize,
    views: &[Through],
) -> Result<Parsed, ParseError> {
    let moved = |view: &Through| Through {
        range: view.range.start - start..view.range.end - start,
        with: view.with.clone(),
    };
    let views: Vec<_> = views.iter().filter(|view| view.range.start >= start).map(moved).collect();
    parse_through(&text[start..], &views)
}

/// `TABLE t`, also behind CREATE TABLE's AS, as `SELECT * FROM t`, and `COPY t (columns) TO …` as
/// `COPY (SELECT columns FROM t) TO …`: the same, in a form in which rows can stand in the table's
/// place. `None` for all other statements.
pub(crate) fn as_query(analysis: &Analysis) -> Option<String> {
    let (text, tokens) = (&analysis.text, &analysis.statements.first()?.tokens);
    let piece =
        |from: usize, to: usize| text.get(tokens.get(from)?.range.start..tokens.get(to)?.range.end);
    if tokens.first()?.is_keyword(text, "table") {
        return Some(format!("SELECT * FROM {}", piece(1, tokens.len() - 1)?));
    }
    if analysis.statements[0].verb == Verb::CreateTable {
        let is_table =
            |pair: &[Token]| pair[0].is_keyword(text, "as") && pair[1].is_keyword(text, "table");
        let table = tokens.windows(2).position(is_table)? + 1;
        let rest = text.get(tokens[table].range.end..tokens.last()?.range.end)?;
        return Some(format!("{}SELECT * FROM{rest}", text.get(..tokens[table].range.start)?));
    }
    let copied = CopiedTable::of(text, tokens)?;
    Some(copied.as_query(copied.columns.unwrap_or("*")))
}

/// CREATE or ALTER of something that would act on a table's rows.
pub(crate) fn defines_over_tables(analysis: &Analysis) -> bool {
    let has = |word| analysis.statements[0].has_keyword(&analysis.text, word);
    !has("drop") && ["trigger", "rule", "policy", "view", "publication"].into_iter().any(has)
}

/// CREATE VIEW, but for a materialized one.
pub(crate) fn makes_view(analysis: &Analysis) -> bool {
    let (text, tokens) = (&analysis.text, &analysis.statements[0].tokens);
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_keyword(text, word));
    is(0, "create")
        && (1..6)
            .find(|&at| is(at, "view") || is(at, "materialized"))
            .is_some_and(|at| is(at, "view"))
}

/// CREATE TEMP TABLE and the like.
pub(crate) fn makes_temporary(analysis: &Analysis) -> bool {
    analysis.statements[0].session.pins().contains(&Pin::TemporaryObject)
}

pub(crate) fn is_copy_of_query(analysis: &Analysis) -> bool {
    analysis.statements[0].tokens.get(1).is_some_and(|token| token.kind == TokenKind::Open)
}

/// The mode that a LOCK TABLE names, or that it has without naming one.
pub(crate) fn lock_mode(text: &str, tokens: &[Token]) -> String {
    let is = |token: &Token, word: &str| token.is_keyword(text, word);
    let Some(end) = tokens.iter().rposition(|token| is(token, "mode")) else {
        return "access exclusive".into();
    };
    let start = tokens[..end].iter().rposition(|token| is(token, "in")).map_or(end, |at| at + 1);
    let words = tokens[start..end].iter().map(|token| token.identifier(text).into_owned());
    words.collect::<Vec<_>>().join(" ")
}
