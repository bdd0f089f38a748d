//! What a statement's words prove.

use flywheel_sql::lex::{Token, TokenKind, lex};
use flywheel_sql::{Statement, Verb};

use super::Reach;
use super::texts::{RUNS_TEXTS, is_static};

/// Other statements with these first words run no code.
const QUIET: &[&str] = &[
    "checkpoint",
    "close",
    "deallocate",
    "discard",
    "fetch",
    "listen",
    "load",
    "move",
    "notify",
    "reset",
    "set",
    "show",
    "unlisten",
];

/// What can't be made, altered or dropped in a transaction, and concerns no table of this database.
const OUTSIDE: &[&str] =
    &["database", "system", "tablespace", "subscription", "role", "user", "group", "server"];

/// Whether a statement is proved to leave the twins alone. Without `reach`: whether it runs no code
/// at all.
pub(super) fn is_harmless(text: &str, statement: &Statement, reach: Option<&Reach>) -> bool {
    let by_words = |may_define: bool| {
        reach.is_some_and(|reach| {
            let any_may = reach.everything || may_define && reach.definitions;
            !any_may
                && words(text, &statement.tokens)
                    .all(|word| !reach.outside.contains(word.as_ref()) && is_of_nobody_else(&word))
        })
    };
    match statement.verb {
        Verb::Empty
        | Verb::Begin
        | Verb::Commit
        | Verb::Rollback
        | Verb::RollbackTo
        | Verb::Savepoint
        | Verb::Release
        | Verb::PrepareTransaction
        | Verb::Prepare
        | Verb::Administration
        | Verb::Lock => true,
        // What it stands for isn't in its words.
        Verb::Execute => false,
        Verb::Explain => {
            let carries_out =
                ["analyze", "analyse"].iter().any(|word| statement.has_keyword(text, word));
            let executes = statement.has_keyword(text, "execute");
            !carries_out || (!executes && by_words(false))
        }
        verb if verb.is_definition() || verb == Verb::CreateIndex => {
            if statement.has_keyword(text, "concurrently")
                || second(text, statement).is_some_and(|word| OUTSIDE.contains(&word.as_str()))
            {
                return true;
            }
            let is_new =
                statement.tokens.first().is_some_and(|first| first.is_keyword(text, "create"));
            // What else goes or changes with something is PostgreSQL's to tell.
            is_new && second(text, statement).as_deref() != Some("extension") && by_words(true)
        }
        Verb::Other => {
            let first =
                statement.tokens.first().map(|first| first.identifier(text)).unwrap_or_default();
            match first.as_ref() {
                "do" => reach.is_some_and(|reach| does_no_harm(text, &statement.tokens, reach)),
                "call" | "refresh" => by_words(false),
                first => QUIET.contains(&first),
            }
        }
        Verb::Select if is_constant(text, &statement.tokens) => true,
        _ => by_words(statement.has_keyword(text, "into")),
    }
}

/// A query of literals and nothing else, as connections are checked by: whatever is defined, it
/// runs no code.
fn is_constant(text: &str, tokens: &[Token]) -> bool {
    const NAMES: [&str; 4] = ["select", "null", "true", "false"];
    let is = |token: &Token, word: &str| token.is_keyword(text, word);
    tokens.iter().enumerate().all(|(at, token)| match token.kind {
        TokenKind::Number => true,
        // Not of a type that is named before it.
        TokenKind::String => {
            at > 0 && (tokens[at - 1].kind != TokenKind::Word || is(&tokens[at - 1], "select"))
        }
        TokenKind::Word if at > 0 && is(&tokens[at - 1], "as") => true,
        TokenKind::Word => is(token, "as") || NAMES.iter().any(|name| is(token, name)),
        _ => matches!(&text[token.range.clone()], "," | ";"),
    })
}

/// The word behind CREATE, ALTER or DROP that says of what.
fn second(text: &str, statement: &Statement) -> Option<String> {
    let is_kind = |word: &str| !matches!(word, "or" | "replace" | "foreign");
    words(text, statement.tokens.get(1..)?)
        .find(|word| is_kind(word))
        .map(std::borrow::Cow::into_owned)
}

/// A DO block in PL/pgSQL whose words all say what they do.
fn does_no_harm(text: &str, tokens: &[Token], reach: &Reach) -> bool {
    let mut strings = tokens.iter().filter(|token| token.kind == TokenKind::String);
    let (Some(body), None) = (strings.next(), strings.next()) else {
        return false;
    };
    let mut others = words(text, tokens);
    if !others.all(|word| matches!(word.as_ref(), "do" | "language" | "plpgsql"))
        || reach.everything
    {
        return false;
    }
    let Some(body) = dollar_quoted(&text[body.range.clone()]) else {
        return false;
    };
    words(body, &lex(body)).all(|word| is_static(&word) && !reach.inside.contains(word.as_ref()))
}

/// What stands between `$tag$` and `$tag$`.
fn dollar_quoted(constant: &str) -> Option<&str> {
    let end = constant.strip_prefix('$')?.find('$')? + 2;
    let (tag, rest) = constant.split_at(end);
    rest.strip_suffix(tag)
}

/// Not a name in the session's own temporary schema, nor one whose letters can't be read here, nor
/// a function that runs texts.
fn is_of_nobody_else(word: &str) -> bool {
    !matches!(word, "pg_temp" | "uescape") && !RUNS_TEXTS.contains(&word)
}

fn words<'t>(
    text: &'t str,
    tokens: &'t [Token],
) -> impl Iterator<Item = std::borrow::Cow<'t, str>> {
    tokens
        .iter()
        .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedWord))
        .map(|token| token.identifier(text))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flywheel_sql::split;

    use super::*;

    fn reach() -> Reach {
        Reach {
            outside: HashSet::from(["writes_it".to_owned(), "watched".to_owned()]),
            inside: HashSet::from([
                "writes_it".to_owned(),
                "watched".to_owned(),
                "carts".to_owned(),
            ]),
            ..Reach::default()
        }
    }

    fn proved(text: &str) -> bool {
        let reach = reach();
        split(text).iter().all(|statement| is_harmless(text, statement, Some(&reach)))
    }

    #[test]
    fn words_prove_what_leaves_twins_alone() {
        for text in [
            "SELECT lower(name), my_own(1) FROM things WHERE id = 1",
            "BEGIN",
            "INSERT INTO things VALUES (1) ON CONFLICT DO NOTHING",
            "SELECT 'writes_it()'",
            "SET search_path = a",
            "DO $$ BEGIN UPDATE things SET n = 1; COMMIT; END $$",
            "EXPLAIN SELECT writes_it()",
            "CREATE TABLE other (id int)",
            "CREATE INDEX CONCURRENTLY i ON things (n)",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "CALL my_own()",
            "VACUUM things",
        ] {
            assert!(proved(text), "{text}");
        }
        for text in [
            "SELECT writes_it()",
            "SELECT \"writes_it\"()",
            "select t.WRITES_IT from t",
            "INSERT INTO watched VALUES (1)",
            "SELECT pg_temp.f()",
            "EXECUTE p",
            "EXPLAIN ANALYZE SELECT writes_it()",
            "DO $$ BEGIN INSERT INTO carts VALUES (1); END $$",
            "DO $$ BEGIN EXECUTE 'x'; END $$",
            "DO 'BEGIN END'",
            "DO LANGUAGE plpython3u $$ x $$",
            "SELECT query_to_xml('SELECT 1', true, true, '')",
            "DROP TYPE mood",
            "CREATE TABLE a AS SELECT writes_it()",
            "SELECT U&\"writes!005fit\" UESCAPE '!' FROM t",
            "CREATE EXTENSION hstore",
        ] {
            assert!(!proved(text), "{text}");
        }
    }

    #[test]
    fn without_definitions_only_what_runs_no_code_is_proved() {
        let proved = |text: &str| is_harmless(text, &split(text)[0], None);
        assert!(proved("COMMIT") && proved("SET a = 1") && proved("VACUUM"));
        assert!(proved("SELECT 1") && proved("select 'x' AS a, NULL, 1.5 as b;"));
        for text in [
            "INSERT INTO a VALUES (1)",
            "SELECT f(1)",
            "SELECT 1 FROM a",
            "SELECT a '1'",
            "SELECT 1 AS b '1'",
            "SELECT 1 + 1",
            "SELECT '1'::a",
            "SELECT $1",
            "SELECT a",
        ] {
            assert!(!proved(text), "{text}");
        }
    }
}
