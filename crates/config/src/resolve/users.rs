//! `[[users]]`

use super::Resolver;
use crate::config::{Authentication, User};
use crate::file;

impl Resolver<'_> {
    pub(super) fn users(&mut self, users: &[file::User], authentication: Authentication) -> Vec<User> {
        let by_password = authentication == Authentication::ScramSha256;
        if by_password && users.is_empty() {
            self.mistake(
                &["auth"],
                "nobody can log in: there are no users",
                "add [[users]] with name and password, or set auth = \"trust\"",
            );
        }
        let mut resolved: Vec<User> = Vec::new();
        for (position, user) in users.iter().enumerate() {
            let at = position.to_string();
            if resolved.iter().any(|other| other.name == user.name) {
                self.mistake(
                    &["users", &at, "name"],
                    format!("user \"{}\" is listed twice", user.name),
                    "a user has one entry",
                );
            }
            let password = match &user.password {
                Some(source) => self.secret(&["users", &at, "password"], source),
                None => {
                    if by_password {
                        let message = format!("user \"{}\" has no password", user.name);
                        self.mistake(
                            &["users", &at],
                            message,
                            "add password = \"${VAR}\" or password = { file = \"…\" }, or set auth = \"trust\"",
                        );
                    }
                    None
                }
            };
            if password.as_ref().is_some_and(|password| password.expose().is_empty()) {
                self.mistake(
                    &["users", &at, "password"],
                    format!("user \"{}\" has an empty password", user.name),
                    "no client can log in with it",
                );
            }
            if password.as_ref().is_some_and(|password| is_broken_verifier(password.expose())) {
                self.mistake(
                    &["users", &at, "password"],
                    format!("the SCRAM verifier of user \"{}\" is broken", user.name),
                    "write it as pg_authid has it, SCRAM-SHA-256$iterations:salt$stored:server, or write the password itself",
                );
            }
            resolved.push(User {
                name: user.name.clone(),
                password,
            });
        }
        resolved
    }
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (catalog-pg-authid), or something that only begins like it.
fn is_broken_verifier(password: &str) -> bool {
    let Some(rest) = password.strip_prefix("SCRAM-SHA-256$") else {
        return false;
    };
    let parts: Vec<&str> = rest.split(['$', ':']).collect();
    let is_base64 = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    match &parts[..] {
        [iterations, keys @ ..] => {
            keys.len() != 3 || !iterations.parse::<u32>().is_ok_and(|count| count > 0) || !keys.iter().all(is_base64)
        }
        [] => true,
    }
}
