//! Where the session stands in the extended protocol, between two Syncs.

/// What becomes of the messages that the client sends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They are taken.
    #[default]
    Taking,
    /// Flywheel has carried out a COPY FROM STDIN, as part of which the Sync behind it was read:
    /// the client sends another one. Up to that, messages are ignored when the batch has failed.
    Copied { failed: bool },
    /// An error has ended the batch: they are ignored up to Sync.
    Skipping,
}

impl Phase {
    /// Whether messages are ignored up to Sync.
    pub(crate) fn is_skipping(self) -> bool {
        matches!(self, Self::Skipping | Self::Copied { failed: true })
    }

    /// An error has ended the batch.
    pub(crate) fn skip(&mut self) {
        *self = match self {
            Self::Taking | Self::Skipping => Self::Skipping,
            Self::Copied { .. } => Self::Copied { failed: true },
        };
    }

    /// The batch is over, or is worked off once more; whether it had failed.
    pub(crate) fn take(&mut self) -> bool {
        std::mem::take(self).is_skipping()
    }

    /// A COPY FROM STDIN reads the Sync behind it.
    pub(crate) fn note_copied(&mut self) {
        *self = Self::Copied { failed: self.is_skipping() };
    }

    /// The batch was worked off; whether its Sync was read by a COPY.
    pub(crate) fn end_copied(&mut self) -> bool {
        match *self {
            Self::Copied { failed } => {
                *self = if failed { Self::Skipping } else { Self::Taking };
                true
            }
            Self::Taking | Self::Skipping => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_fails_is_followed_by_what_is_ignored() {
        let mut phase = Phase::default();
        phase.note_copied();
        assert!(!phase.is_skipping());
        phase.skip();
        assert!(phase.end_copied());
        assert_eq!(phase, Phase::Skipping);
        assert!(phase.take());
        assert_eq!(phase, Phase::Taking);
    }
}
