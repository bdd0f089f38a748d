//! Who has locked a row: an open transaction block, or a transaction that is about to commit.

use std::fmt;
use std::str::FromStr;

/// A transaction as its locks name it. Locks keep its printed form, `xid-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId {
    /// PostgreSQL's number of the transaction, by which its outcome is asked. 0: the transaction
    /// hasn't begun to commit.
    pub xid: u64,
    /// What no other transaction has: numbers come again on another server. The upper 32 bits tell
    /// the subtransactions of one block apart.
    pub id: u128,
}

/// The bits of [`TransactionId::id`] that all subtransactions of a block have in common.
const BLOCK: u128 = u128::MAX >> 32;

impl TransactionId {
    /// A subtransaction of a block, by its place among them.
    #[must_use]
    pub fn of_block(block: u128, subtransaction: u32) -> Self {
        let id = (block & BLOCK) | (u128::from(subtransaction) << 96);
        Self { xid: 0, id }
    }

    /// The holder of a row that any number of blocks have locked together, which is named by the
    /// row: each holds the advisory lock of that name, in shared mode.
    #[must_use]
    pub fn of_shared_row(row: u64) -> Self {
        Self::of_block(row.into(), u32::MAX)
    }

    /// Whether the lock is that of any number of blocks together.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_open() && self.id >> 96 == u128::from(u32::MAX)
    }

    /// Whether the lock is that of an open block, which writes nothing before it has another one.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.xid == 0
    }

    /// Whether both are of one block.
    #[must_use]
    pub fn is_of_same_block(&self, other: &Self) -> bool {
        self.id & BLOCK == other.id & BLOCK
    }

    /// The last characters of the printed form, which all subtransactions of a block have in
    /// common.
    #[must_use]
    pub fn block_suffix(&self) -> String {
        format!("{:024x}", self.id & BLOCK)
    }

    /// The key of the advisory lock that the subtransaction holds in PostgreSQL while it is open.
    #[must_use]
    pub fn advisory_key(&self) -> i64 {
        let [high, low] = [self.id >> 64, self.id & u128::from(u64::MAX)].map(|half| half as u64);
        (high ^ low).cast_signed()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.xid, self.id)
    }
}

/// A text that isn't a [`TransactionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a transaction")]
pub struct NoTransactionId;

impl FromStr for TransactionId {
    type Err = NoTransactionId;

    fn from_str(text: &str) -> Result<Self, NoTransactionId> {
        let (xid, id) = text.split_once('-').ok_or(NoTransactionId)?;
        Ok(Self {
            xid: xid.parse().map_err(|_| NoTransactionId)?,
            id: u128::from_str_radix(id, 16).map_err(|_| NoTransactionId)?,
        })
    }
}

/// What became of [`crate::TwoPhase::prepare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// All conditions held, and all rows are locked.
    Locked,
    /// A condition didn't hold; nothing is locked.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtransactions_of_a_block() {
        let (first, second) = (TransactionId::of_block(7, 0), TransactionId::of_block(7, 1));
        assert!(first.is_open() && first.is_of_same_block(&second) && first != second);
        assert!(first.to_string().ends_with(&second.block_suffix()));
        assert_ne!(first.advisory_key(), second.advisory_key());
        assert!(!first.is_of_same_block(&TransactionId::of_block(8, 0)));
        assert!(TransactionId::of_shared_row(7).is_shared() && !second.is_shared());
    }

    #[test]
    fn printed_and_read() {
        let transaction = TransactionId { xid: 741, id: 0xbeef };
        assert_eq!(transaction.to_string(), "741-0000000000000000000000000000beef");
        assert_eq!(transaction.to_string().parse(), Ok(transaction));
        for text in ["", "741", "-", "741-", "-beef", "x-beef", "741-xyz"] {
            assert_eq!(text.parse::<TransactionId>(), Err(NoTransactionId), "{text}");
        }
    }
}
