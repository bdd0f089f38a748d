//! The ways in which statements are answered.

/// The way in which a statement was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From memory.
    Cached,
    /// By a server, over a connection that others use at the same time.
    Shared,
    /// By a server, over a connection that was borrowed for it.
    Relayed,
    /// By a store alone.
    Native,
    /// By PostgreSQL, over rows that were fetched from stores.
    Mixed,
    /// By PostgreSQL, on staged rows, whose difference was written to a store.
    Staged,
    /// By Flywheel: definitions, COPY, TRUNCATE, EXPLAIN and the like of store tables, and commands
    /// of the cache's.
    Command,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Cached,
        Self::Shared,
        Self::Relayed,
        Self::Native,
        Self::Mixed,
        Self::Staged,
        Self::Command,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Shared => "shared",
            Self::Relayed => "relayed",
            Self::Native => "native",
            Self::Mixed => "mixed",
            Self::Staged => "staged",
            Self::Command => "command",
        }
    }
}
