//! When the client is told of settings that the server reports.

/// How settings that the server reports are told.
///
/// PostgreSQL reports each once, when a whole text has run. Where Flywheel has its statements run
/// one by one, or in a transaction of its own, values come that may be others in the end.
#[derive(Debug, Default)]
pub(crate) enum Reports {
    /// As they come.
    #[default]
    AsTheyCome,
    /// A guarded statement runs in a transaction of Flywheel's own: these are told behind it.
    WithStatement(Vec<String>),
    /// A text's statements are run one by one: these are told at its end.
    WithText(Vec<String>),
    /// Some are about to be set once more: all that differ are told in the end.
    InTheEnd,
}

impl Reports {
    /// A guarded statement begins, in a transaction of Flywheel's own or in its client's.
    pub(crate) fn begin_statement(&mut self, own_block: bool) {
        if own_block && matches!(self, Self::AsTheyCome) {
            *self = Self::WithStatement(Vec::new());
        }
    }

    /// It is over; what the client is to be told now.
    pub(crate) fn end_statement(&mut self) -> Vec<String> {
        match self {
            Self::WithStatement(names) => {
                let names = std::mem::take(names);
                *self = Self::AsTheyCome;
                names
            }
            _ => Vec::new(),
        }
    }

    /// A text's statements are run one by one.
    pub(crate) fn begin_text(&mut self) {
        *self = Self::WithText(Vec::new());
    }

    /// It is over; what the client is to be told now.
    pub(crate) fn end_text(&mut self) -> Vec<String> {
        match std::mem::take(self) {
            Self::WithText(names) => names,
            _ => Vec::new(),
        }
    }

    /// Some of the settings that come now are about to be set once more.
    pub(crate) fn begin_silence(&mut self) {
        *self = Self::InTheEnd;
    }

    pub(crate) fn end_silence(&mut self) {
        *self = Self::AsTheyCome;
    }

    /// Whether settings are told later, all at once.
    pub(crate) fn are_silent(&self) -> bool {
        matches!(self, Self::WithText(_) | Self::InTheEnd)
    }

    /// The server reports a setting; whether the client is told at once.
    pub(crate) fn tells(&mut self, name: &str) -> bool {
        match self {
            Self::AsTheyCome => true,
            Self::WithStatement(names) | Self::WithText(names) => {
                names.push(name.to_owned());
                false
            }
            // It isn't compared afterwards: the client knows another name than the server.
            Self::InTheEnd => name == "session_authorization",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_of_a_text_tells_nothing_before_the_text_is_over() {
        let mut reports = Reports::default();
        reports.begin_text();
        reports.begin_statement(true);
        assert!(!reports.tells("TimeZone"));
        assert_eq!(reports.end_statement(), Vec::<String>::new());
        assert_eq!(reports.end_text(), ["TimeZone"]);
        assert!(reports.tells("TimeZone"));
    }
}
