//! Waiting before another attempt, longer each time and by chance, so that those who collided don't
//! collide again.
//!
//! Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_secs(1);

/// A bounded number of attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    waited: u32,
    bound: u32,
}

impl Backoff {
    /// At most `bound` further attempts.
    pub(crate) fn new(bound: u32) -> Self {
        Self { waited: 0, bound }
    }

    /// Waits for the next attempt; false, at once, when there is none left.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.waited == self.bound {
            return false;
        }
        let ceiling = FIRST.saturating_mul(1 << self.waited.min(10)).min(LONGEST);
        self.waited += 1;
        tokio::time::sleep(ceiling.mul_f64(rand::random::<f64>())).await;
        true
    }

    /// Counts anew after progress.
    pub(crate) fn reset(&mut self) {
        self.waited = 0;
    }
}
