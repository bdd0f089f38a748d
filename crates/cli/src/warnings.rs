//! What a configuration allows and hardly anybody wants.

use flywheel_config::{Authentication, Config};

/// A sentence each.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.authentication == Authentication::Trust && !config.listen.ip().is_loopback() {
        let whom = if config.users.is_empty() { "as any user" } else { "as any of its users" };
        warnings.push(format!(
            "auth = \"trust\" on {}: whoever reaches this address is let in without a password, {whom}",
            config.listen
        ));
    }
    warnings
}
