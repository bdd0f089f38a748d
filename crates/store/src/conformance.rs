//! The suite that every store passes: the same statements of the contract of [`crate::Store`], against a live store.
