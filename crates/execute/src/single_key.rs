//! Reads of a single row.

use flywheel_plan::{Access, Home, Parameters, ResolvedAccess};
use flywheel_types::Key;

/// The one key of an access: `Some(None)` when it is compared with NULL, `None` when it can't be
/// read.
#[allow(clippy::option_option, reason = "no key and no answer are two things")]
pub(super) fn single_key(
    access: &Access,
    home: &Home,
    parameters: &Parameters<'_>,
) -> Option<Option<Key>> {
    match access.resolve(&home.table, parameters)? {
        ResolvedAccess::Keys(mut keys) => Some(keys.pop()),
        _ => None,
    }
}
