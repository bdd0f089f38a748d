//! The folder that a server keeps its data in.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// A data folder that nobody else uses: the caller's, or a temporary one that is removed with this
/// value.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _temporary: Option<TempDir>,
    // Neither server notices a second process on its files.
    _lock: File,
}

impl DataFolder {
    /// Takes `path`, creating it where it is missing, or a new temporary folder.
    pub(crate) fn take(path: Option<&Path>) -> anyhow::Result<Self> {
        let (path, temporary) = match path {
            Some(path) => {
                fs::create_dir_all(path)
                    .with_context(|| format!("create the data folder {}", path.display()))?;
                (path.to_path_buf(), None)
            }
            None => {
                let folder =
                    TempDir::with_prefix("flywheel-").context("create a temporary data folder")?;
                (folder.path().to_path_buf(), Some(folder))
            }
        };
        let lock = File::create(path.join("flywheel.lock"))
            .with_context(|| format!("lock the data folder {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _temporary: temporary, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("the data folder {} is in use by another Flywheel", path.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("lock the data folder {}", path.display()))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
