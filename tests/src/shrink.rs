//! Less of what makes a test fail.

use std::time::{Duration, Instant};

/// What hangs takes long each time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leaves out what the failure doesn't need.
pub async fn shortest<T: Clone>(
    mut items: Vec<T>,
    mut fails: impl AsyncFnMut(&[T]) -> bool,
) -> Vec<T> {
    let until = Instant::now() + PATIENCE;
    // Large pieces first.
    let mut size = items.len() / 2;
    while size > 1 {
        let mut end = items.len();
        while end > 0 && Instant::now() < until {
            let start = end.saturating_sub(size);
            let fewer = [&items[..start], &items[end..]].concat();
            if !fewer.is_empty() && fails(&fewer).await {
                items = fewer;
            }
            end = start;
        }
        size /= 2;
    }
    let mut at = items.len();
    while at > 0 && items.len() > 1 && Instant::now() < until {
        at -= 1;
        let mut fewer = items.clone();
        fewer.remove(at);
        if fails(&fewer).await {
            items = fewer;
        }
    }
    items
}
