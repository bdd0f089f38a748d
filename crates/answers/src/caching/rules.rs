//! For which statements answers are kept.

use std::time::Duration;

use flywheel_sql::lex::{Token, TokenKind, lex};
use flywheel_sql::{SessionEffect, Statement, Verb};
use flywheel_statement::{Analysis, names_only};

use super::words::has_any;
use crate::options::CacheRule;

/// What a comment in the statement asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// `/* flywheel: cache … */`
    pub asks: bool,
    /// `ttl=…`
    pub ttl: Option<Duration>,
    /// `/* flywheel: nocache */`
    pub refuses: bool,
}

impl Hint {
    pub(super) fn of(text: &str) -> Self {
        let mut hint = Self::default();
        // Most texts have none, and needn't be cut.
        if !text.contains("flywheel:") {
            return hint;
        }
        for comment in between_tokens(text).flat_map(|blank| blank.split("/*").skip(1)) {
            let Some((inner, _)) = comment.split_once("*/") else { continue };
            let Some(words) = inner.trim().strip_prefix("flywheel:") else {
                continue;
            };
            for word in words.split_whitespace() {
                match word.split_once('=') {
                    None if word.eq_ignore_ascii_case("cache") => hint.asks = true,
                    None if word.eq_ignore_ascii_case("nocache") => hint.refuses = true,
                    Some((key, value)) if key.eq_ignore_ascii_case("ttl") => {
                        hint.ttl = duration(value)
                    }
                    _ => {}
                }
            }
        }
        hint
    }
}

/// White space and comments: what stands between words and constants.
fn between_tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut ranges: Vec<_> = lex(text).into_iter().map(|token| token.range).collect();
    ranges.push(text.len()..text.len());
    let mut at = 0;
    ranges.into_iter().map(move |range| {
        let blank = &text[at..range.start];
        at = range.end;
        blank
    })
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|each: char| !each.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
}

/// Whether it is one query of which an answer may be kept, by its words.
pub(super) fn is_query(analysis: &Analysis) -> bool {
    let [statement] = &analysis.statements[..] else { return false };
    matches!(statement.verb, Verb::Select | Verb::With)
        && statement.session == SessionEffect::None
        && !has_any(
            &analysis.text,
            &statement.tokens,
            &["insert", "update", "delete", "merge", "into"],
        )
        && !locks(&analysis.text, &statement.tokens)
}

/// FOR UPDATE and the like.
fn locks(text: &str, tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        let second = |word| pair[1].is_keyword(text, word);
        pair[0].is_keyword(text, "for")
            && (second("update") || second("share") || second("no") || second("key"))
    })
}

/// Whether what a rule says of texts holds of this one.
pub(super) fn matches(rule: &CacheRule, analysis: &Analysis, hint: &Hint) -> bool {
    rule.hint.is_none_or(|wanted| wanted == hint.asks)
        && rule.fingerprint.is_none_or(|wanted| {
            analysis.statements.first().is_some_and(|first| first.shape(&analysis.text) == wanted)
        })
        && rule.pattern.as_ref().is_none_or(|pattern| {
            is_like(&plain(pattern, &lex_pattern(pattern)), &normal(analysis))
        })
        && (rule.tables.is_empty() || names_only(analysis, &rule.tables))
}

fn lex_pattern(pattern: &str) -> Vec<Token> {
    lex(pattern)
}

/// The text with its words in lower case, one space where there is any, and neither comments nor a
/// semicolon at its end.
pub(super) fn normal(analysis: &Analysis) -> String {
    let tokens: Vec<Token> = analysis
        .statements
        .iter()
        .flat_map(|statement: &Statement| statement.tokens.iter().cloned())
        .collect();
    plain(&analysis.text, &tokens)
}

fn plain(text: &str, tokens: &[Token]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last: Option<&Token> = None;
    for token in tokens {
        if let Some(last) = last
            && last.range.end < token.range.start
        {
            // String constants in two lines are one, those in one line a mistake.
            let is_line = last.kind == TokenKind::String
                && text[last.range.end..token.range.start].contains('\n');
            out.push(if is_line { '\n' } else { ' ' });
        }
        match token.kind {
            TokenKind::Word => out.push_str(&token.identifier(text)),
            _ => out.push_str(&text[token.range.clone()]),
        }
        last = Some(token);
    }
    out
}

/// Whether `text` is `pattern`, where `*` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// What a rule is for, in a line.
pub(super) fn condition(rule: &CacheRule) -> String {
    let mut parts = Vec::new();
    if !rule.tables.is_empty() {
        let names: Vec<_> = rule.tables.iter().map(ToString::to_string).collect();
        parts.push(format!("tables {}", names.join(", ")));
    }
    parts.extend(rule.user.iter().map(|user| format!("user {user}")));
    parts.extend(rule.database.iter().map(|database| format!("database {database}")));
    parts.extend(rule.pattern.iter().map(|pattern| format!("pattern {pattern}")));
    parts.extend(rule.fingerprint.map(|fingerprint| format!("fingerprint {fingerprint:016x}")));
    parts.extend(rule.hint.map(|hint| if hint { "hint".to_owned() } else { "no hint".to_owned() }));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints() {
        for text in [
            "SELECT '/* flywheel: nocache */'",
            "SELECT 1 AS \"/* flywheel: nocache */\"",
            "SELECT $x$/* flywheel: nocache */$x$",
            "SELECT 1 -- flywheel: nocache",
        ] {
            assert_eq!(Hint::of(text), Hint::default(), "{text}");
        }
        assert!(Hint::of("SELECT '/*' /* flywheel: nocache */").refuses);
        let hint = Hint::of("/* flywheel: cache ttl=30s */ SELECT 1");
        assert_eq!(
            (hint.asks, hint.ttl, hint.refuses),
            (true, Some(Duration::from_secs(30)), false)
        );
        assert!(Hint::of("SELECT 1 /*flywheel: nocache*/").refuses);
        assert_eq!(Hint::of("SELECT '/* cache */' -- flywheel: cache"), Hint::default());
        assert_eq!(Hint::of("/* flywheel: ttl=soon */ SELECT 1").ttl, None);
    }

    #[test]
    fn patterns() {
        let is = |pattern: &str, text: &str| {
            is_like(&plain(pattern, &lex(pattern)), &plain(text, &lex(text)))
        };
        assert!(is("select * from words where *", "SELECT a\n  FROM Words /* x */ WHERE b = $1"));
        assert!(is("*", "SELECT 1"));
        assert!(is("select 1", "SELECT  1"));
        assert!(!is("select 1", "SELECT 12"));
        assert!(!is("select * from words", "SELECT a FROM words WHERE b"));
        assert!(!is("*a*b", "b a"));
    }

    #[test]
    fn what_differs_stays_different() {
        let normal = |text: &str| plain(text, &lex(text));
        assert_eq!(normal("SELECT  A, \"B\" -- c\nFROM t"), "select a, \"B\" from t");
        assert_ne!(normal("SELECT 1 < = 2"), normal("SELECT 1 <= 2"));
        assert_ne!(normal("SELECT 'a'\n'b'"), normal("SELECT 'a' 'b'"));
        assert_ne!(normal("SELECT 'A'"), normal("SELECT 'a'"));
    }
}
