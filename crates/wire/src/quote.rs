//! Texts as PostgreSQL's lexer reads them back (sql-syntax-lexical).

/// A string literal of any text. `E'…'`, so that it doesn't depend on
/// `standard_conforming_strings`.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str("E'");
    for character in text.chars() {
        match character {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            _ => out.push(character),
        }
    }
    out.push('\'');
    out
}
