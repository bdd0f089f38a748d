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

/// A value of `set_config` that isn't there, which means the startup value of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NullSetting {
    /// The setting.
    pub name: String,
    /// Where NULL stands in the text, or the parameter (the first is 0) that may be NULL.
    pub value: NullValue,
}

/// See [`NullSetting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NullValue {
    /// `NULL`
    Written(Range<usize>),
    /// `$1`
    Parameter(usize),
}

/// Where a statement calls `set_config` with NULL or a parameter for a value.
#[must_use]
pub fn null_settings(text: &str, tokens: &[Token]) -> Vec<NullSetting> {
    let mut found = Vec::new();
    for position in 0..tokens.len() {
        if tokens[position].identifier(text) != "set_config" {
            continue;
        }
        let Some(call) = Call::at(text, tokens, position) else { continue };
        let (Some([name, ..]), Some([value, ..])) = (call.arguments.first(), call.arguments.get(1))
        else {
            continue;
        };
        let value = match value.kind {
            TokenKind::Word if value.is_keyword(text, "null") => {
                NullValue::Written(value.range.clone())
            }
            TokenKind::Parameter => {
                match text[value.range.start + 1..value.range.end].parse::<usize>() {
                    Ok(number) if number > 0 => NullValue::Parameter(number - 1),
                    _ => continue,
                }
            }
            _ => continue,
        };
        if name.kind == TokenKind::String {
            let name = content(&text[name.range.clone()]).to_lowercase();
            found.push(NullSetting { name, value });
        }
    }
    found
}
