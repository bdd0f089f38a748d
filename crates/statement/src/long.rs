//! Work that takes long, so that neighbours on the same thread don't wait for it.

use std::panic::resume_unwind;

/// A text of so many bytes is read within about a millisecond.
const LONG: usize = 16 * 1024;
/// So many rows or keys are dealt with within about a millisecond.
pub const MANY: usize = 1000;

/// Whether reading a text of so many bytes takes long.
pub fn is_long(bytes: usize) -> bool {
    bytes >= LONG
}

/// Work on a text of so many bytes: on a thread of its own where it takes long.
pub async fn on_text<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if !is_long(bytes) {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_) => std::future::pending().await,
        },
    }
}
