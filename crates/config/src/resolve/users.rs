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
            resolved.push(User {
                name: user.name.clone(),
                password,
            });
        }
        resolved
    }
}
