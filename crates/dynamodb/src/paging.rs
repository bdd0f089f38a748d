//! How many items to ask for in one page.

/// A page of what is wanted, and twice as many each further time: where rows that don't count stand
/// in front of the others, pages of what is still missing would never end. (A page ends at 1 MB
/// besides.)
#[derive(Debug)]
pub(crate) struct PageSize(usize);

impl PageSize {
    /// Pages for this many rows.
    pub(crate) fn of(wanted: usize) -> Self {
        Self(wanted.max(1))
    }

    /// The `Limit` of the next request.
    pub(crate) fn next(&mut self) -> i32 {
        let size = i32::try_from(self.0).unwrap_or(i32::MAX);
        self.0 = self.0.saturating_mul(2);
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow() {
        let mut pages = PageSize::of(10);
        assert_eq!([pages.next(), pages.next(), pages.next()], [10, 20, 40]);
        assert_eq!(PageSize::of(usize::MAX).next(), i32::MAX);
        assert_eq!(PageSize::of(0).next(), 1);
    }
}
