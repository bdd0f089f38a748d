//! The house rules that a compiler doesn't check: which crate may use which, and that no files of a
//! crate form a circle.

mod circles;
mod columns;
mod lengths;
mod modules;
mod spread;
mod table;
