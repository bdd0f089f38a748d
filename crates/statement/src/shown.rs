//! What a text shows of the connection that it runs on, which may be anybody's.

use std::collections::BTreeSet;

use flywheel_sql::lex::Token;
use flywheel_sql::{SessionEffect, Statement};

/// What the statements of a text show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Settings, with what they are reset to and where they come from.
    pub settings: bool,
    /// The same, but for texts that only show what settings are.
    pub startup: bool,
    /// It runs code that may reset these settings.
    pub resets: BTreeSet<String>,
    /// It runs code that may reset any.
    pub resets_any: bool,
    /// Whether the connection has a schema of temporary objects.
    pub temporary: bool,
}

impl Shown {
    pub(crate) fn of(text: &str, statements: &[Statement]) -> Self {
        let mut shown = Self::default();
        for statement in statements {
            let has = |words: &[&str]| statement.has_word(text, |word| words.contains(&word));
            if let SessionEffect::Leaves(traces) = &statement.session {
                shown.resets.extend(traces.resets.iter().cloned());
                shown.resets_any |= traces.resets_any;
            }
            let names = has(&["pg_settings", "pg_show_all_settings"]);
            shown.settings |= names;
            shown.startup |= names && (has(&["reset_val", "table"]) || shows_rows(text, statement));
            shown.temporary |= has(&["current_schemas", "pg_my_temp_schema"]);
        }
        shown
    }
}

/// Whether a star stands for columns.
fn shows_rows(text: &str, statement: &Statement) -> bool {
    let is = |token: &Token, symbol: &str| text[token.range.clone()] == *symbol;
    statement.tokens.windows(2).any(|pair| is(&pair[1], "*") && !is(&pair[0], "("))
}

#[cfg(test)]
mod tests {
    use flywheel_sql::split;

    use super::*;

    #[test]
    fn what_settings_are_is_no_secret_of_the_connection() {
        let shown = |text: &str| Shown::of(text, &split(text));
        let setting = shown("SELECT setting, count(*) FROM pg_settings WHERE name = 'work_mem'");
        assert!(setting.settings && !setting.startup);
        for text in [
            "SELECT reset_val FROM pg_settings",
            "SELECT * FROM pg_catalog.pg_settings",
            "SELECT s.* FROM pg_settings s",
            "TABLE pg_settings",
        ] {
            assert!(shown(text).startup, "{text}");
        }
        let code = shown("DO $$ BEGIN RESET search_path; END $$");
        assert!(code.resets.contains("search_path") && !code.resets_any);
        assert!(shown("SELECT current_schemas(true)").temporary);
        assert_eq!(shown("SELECT 2 * 3"), Shown::default());
    }
}
