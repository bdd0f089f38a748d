//! Which transactions can be seen: the stream tells of a commit as soon as it is in the log, which
//! may be before other sessions see it.

/// Which transactions were visible, or over, at a moment on the primary: a `pg_snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visibility {
    next: u32,
    running: Vec<u32>,
}

impl Visibility {
    /// Reads `xmin:xmax:xip,…`. The stream has the lower halves of the numbers only.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').skip(1);
        let number = |text: &str| {
            text.parse::<u64>().ok().and_then(|number| u32::try_from(number & 0xffff_ffff).ok())
        };
        let next = number(parts.next()?)?;
        let running = parts.next()?.split(',').filter(|text| !text.is_empty());
        Some(Self { next, running: running.map(number).collect::<Option<_>>()? })
    }

    /// Those that ran.
    pub(crate) fn running(&self) -> &[u32] {
        &self.running
    }

    /// Whether what this transaction has done could be seen.
    #[must_use]
    pub fn has(&self, transaction: u32) -> bool {
        // Numbers go round; what is less than half the way behind is older.
        let is_older = self.next.wrapping_sub(transaction).wrapping_sub(1) < u32::MAX / 2;
        is_older && !self.running.contains(&transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_that_run_or_come_later_are_not_visible() {
        let visible = Visibility::read("10:20:10,14").expect("a snapshot");
        let seen: Vec<_> =
            [9, 10, 11, 14, 19, 20, 21].into_iter().filter(|&number| visible.has(number)).collect();
        assert_eq!(seen, [9, 11, 19]);
        let round = Visibility::read("4294967297:4294967299:4294967298").expect("a snapshot");
        assert!(round.has(u32::MAX) && round.has(1) && !round.has(2) && !round.has(3));
        assert!(Visibility::read("10:20").is_none() && Visibility::read("a:b:").is_none());
    }
}
