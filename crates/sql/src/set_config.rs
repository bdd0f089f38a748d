//! Calls of functions by name, and what `set_config` is called with.

use std::borrow::Cow;
use std::ops::Range;

use crate::lex::{Token, TokenKind};
use crate::traces::content;

/// A call with its arguments' tokens.
pub(crate) struct Call<'t> {
    pub(crate) name: Cow<'t, str>,
    pub(crate) arguments: Vec<&'t [Token]>,
}

impl<'t> Call<'t> {
    /// The call whose name stands there.
    pub(crate) fn at(text: &'t str, tokens: &'t [Token], position: usize) -> Option<Self> {
        let name = tokens.get(position)?;
        let open = tokens.get(position + 1)?;
        let is_call = matches!(name.kind, TokenKind::Word | TokenKind::QuotedWord)
            && text[open.range.clone()] == *"(";
        if !is_call {
            return None;
        }
        let (mut arguments, mut depth, mut start) = (Vec::new(), 0_usize, position + 2);
        for (at, token) in tokens.iter().enumerate().skip(position + 1) {
            let ends = match token.kind {
                TokenKind::Open => {
                    depth += 1;
                    false
                }
                TokenKind::Close => {
                    depth -= 1;
                    depth == 0
                }
                _ => false,
            };
            if ends || (depth == 1 && text[token.range.clone()] == *",") {
                arguments.push(&tokens[start..at]);
                start = at + 1;
            }
            if ends {
                break;
            }
        }
        Some(Self { name: name.identifier(text), arguments })
    }

    /// Whether the last argument is plainly `true`: what is set ends with the transaction.
    pub(crate) fn is_local(&self, text: &str) -> bool {
        let Some([last]) = self.arguments.get(2) else { return false };
        let is_true = |value: &str| ["t", "true", "on", "yes", "1"].contains(&value);
        last.is_keyword(text, "true")
            || (last.kind == TokenKind::String && is_true(&content(&text[last.range.clone()])))
    }
}

/// A value of `set_config` that may be NULL, which means the startup value of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullSetting {
    /// The setting.
    pub name: SettingName,
    /// Its value.
    pub value: NullValue,
}

/// Which setting `set_config` is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingName {
    /// This one.
    Known(String),
    /// The one that a parameter names; the first is 0.
    Parameter(usize),
    /// It is computed.
    Unknown,
}

/// See [`NullSetting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NullValue {
    /// `NULL`, where it stands in the text.
    Written(Range<usize>),
    /// `$1`, which is 0.
    Parameter(usize),
    /// An expression, where it stands in the text.
    Computed(Range<usize>),
}

/// The number of a parameter, the first of which is 0.
fn parameter(text: &str, token: &Token) -> Option<usize> {
    let number = text.get(token.range.start + 1..token.range.end)?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

/// Where a statement calls `set_config` with a value that may be NULL.
#[must_use]
pub fn null_settings(text: &str, tokens: &[Token]) -> Vec<NullSetting> {
    let mut found = Vec::new();
    for position in 0..tokens.len() {
        if tokens[position].identifier(text) != "set_config" {
            continue;
        }
        let Some(call) = Call::at(text, tokens, position) else { continue };
        let [name, value, ..] = &call.arguments[..] else { continue };
        let (Some(name), Some(first), Some(last)) = (name.first(), value.first(), value.last())
        else {
            continue;
        };
        // A cast changes nothing of it.
        let is_alone = value.get(1).is_none_or(|next| text[next.range.clone()].starts_with(':'));
        let whole = first.range.start..last.range.end;
        let value = match first.kind {
            TokenKind::String | TokenKind::Number if is_alone => continue,
            TokenKind::Word if is_alone && first.is_keyword(text, "null") => {
                NullValue::Written(first.range.clone())
            }
            TokenKind::Parameter if is_alone => match parameter(text, first) {
                Some(number) => NullValue::Parameter(number),
                None => continue,
            },
            _ => NullValue::Computed(whole),
        };
        let name = match name.kind {
            TokenKind::String => {
                SettingName::Known(content(&text[name.range.clone()]).to_lowercase())
            }
            TokenKind::Parameter => {
                parameter(text, name).map_or(SettingName::Unknown, SettingName::Parameter)
            }
            _ => SettingName::Unknown,
        };
        found.push(NullSetting { name, value });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::lex;

    #[test]
    fn a_value_that_may_be_null_is_found() {
        let found = |text: &str| null_settings(text, &lex(text)).into_iter().next();
        let known = |name: &str| SettingName::Known(name.to_owned());
        let text = "SELECT set_config('Search_Path', NULL::text, false)";
        assert_eq!(
            found(text),
            Some(NullSetting { name: known("search_path"), value: NullValue::Written(33..37) })
        );
        assert_eq!(
            found("SELECT set_config($2, $1::text, true)"),
            Some(NullSetting { name: SettingName::Parameter(1), value: NullValue::Parameter(0) })
        );
        assert_eq!(
            found("SELECT set_config('a.b', NULL || lower($1), true)"),
            Some(NullSetting { name: known("a.b"), value: NullValue::Computed(25..42) })
        );
        assert_eq!(found("SELECT set_config(name, 'x', true) FROM names"), None);
    }
}
