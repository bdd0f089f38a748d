//! Who has locked a row: a transaction that writes to several stores, or to PostgreSQL too.

use std::fmt;
use std::str::FromStr;

/// A transaction as its locks name it. Locks keep its printed form, `xid-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId {
    /// PostgreSQL's number of the transaction, by which its outcome is asked.
    pub xid: u64,
    /// What no other transaction has: numbers come again on another server.
    pub id: u128,
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

/// What became of [`crate::Store::prepare`].
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
    fn printed_and_read() {
        let transaction = TransactionId { xid: 741, id: 0xbeef };
        assert_eq!(transaction.to_string(), "741-0000000000000000000000000000beef");
        assert_eq!(transaction.to_string().parse(), Ok(transaction));
        for text in ["", "741", "-", "741-", "-beef", "x-beef", "741-xyz"] {
            assert_eq!(text.parse::<TransactionId>(), Err(NoTransactionId), "{text}");
        }
    }
}
