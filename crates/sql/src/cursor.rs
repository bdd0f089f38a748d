//! Statements that name a cursor, read from their words.

use crate::lex::Token;

/// A statement that names a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorUse {
    /// DECLARE of one.
    Declare(String),
    /// FETCH or MOVE of one.
    Read(String),
    /// CLOSE of one.
    Close(String),
    /// CLOSE ALL
    CloseAll,
}

impl CursorUse {
    /// What the statement with these tokens does to a cursor.
    #[must_use]
    pub fn of(text: &str, tokens: &[Token]) -> Option<Self> {
        let is = |word: &str| tokens.first().is_some_and(|first| first.is_keyword(text, word));
        let name = |token: &Token| token.identifier(text).into_owned();
        match () {
            () if is("declare") => tokens.get(1).map(name).map(Self::Declare),
            () if is("fetch") || is("move") => tokens.last().map(name).map(Self::Read),
            () if is("close") => {
                let named = tokens.get(1)?;
                Some(if named.is_keyword(text, "all") {
                    Self::CloseAll
                } else {
                    Self::Close(name(named))
                })
            }
            () => None,
        }
    }
}

/// Whether a DECLARE says WITH HOLD. Behind FOR stands the query, in which the words mean other
/// things.
pub(crate) fn is_held(text: &str, declare: &[Token]) -> bool {
    let options = declare.split(|token| token.is_keyword(text, "for")).next();
    options.unwrap_or_default().windows(2).any(|pair| match pair {
        [with, hold] => with.is_keyword(text, "with") && hold.is_keyword(text, "hold"),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn what_names_a_cursor() {
        let of = |text: &str| CursorUse::of(text, &lex(text));
        assert_eq!(of("DECLARE c SCROLL CURSOR FOR TABLE t"), Some(CursorUse::Declare("c".into())));
        assert_eq!(of("fetch 2 from \"C\""), Some(CursorUse::Read("C".into())));
        assert_eq!(of("MOVE c"), Some(CursorUse::Read("c".into())));
        assert_eq!(of("CLOSE c"), Some(CursorUse::Close("c".into())));
        assert_eq!(of("close all"), Some(CursorUse::CloseAll));
        assert_eq!(of("SELECT 1"), None);
    }

    #[test]
    fn what_holds_a_cursor() {
        let held = |text: &str| is_held(text, &lex(text));
        assert!(held("DECLARE c CURSOR WITH HOLD FOR SELECT 1"));
        assert!(held(
            "declare c scroll cursor with hold for select now()::timestamp without time zone"
        ));
        assert!(!held("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1"));
        assert!(!held("DECLARE c CURSOR FOR WITH hold AS (SELECT 1) SELECT * FROM hold"));
        assert!(!held("DECLARE hold CURSOR FOR SELECT hold FROM t"));
    }
}
