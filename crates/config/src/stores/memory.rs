//! Tables in this process' memory.

use std::path::PathBuf;

/// Tables in this process' memory.
#[derive(Debug, Clone)]
pub struct Memory {
    /// The file that keeps the rows over a restart; else they are gone with the process.
    pub snapshot: Option<PathBuf>,
}
