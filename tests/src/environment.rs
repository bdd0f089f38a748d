//! Numbers that the environment may set.

/// The variable's value; `default` when it isn't set.
///
/// # Panics
/// It isn't a number.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}
