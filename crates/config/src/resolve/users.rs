//! `[[users]]`

use flywheel_kind::Secret;

use super::Resolver;
use crate::config::{Authentication, Role, User};
use crate::file;

impl Resolver<'_> {
    pub(super) fn users(
        &mut self,
        users: &[Option<file::User>],
        authentication: Authentication,
    ) -> Vec<User> {
        let by_password = authentication == Authentication::ScramSha256;
        if by_password && users.is_empty() {
            let place = if self.is_there(&["users"]) { "users" } else { "auth" };
            self.mistake(
                &[place],
                "nobody can log in: there are no users",
                "add [[users]] with name and password, or set auth = \"trust\"",
            );
        }
        let mut resolved: Vec<User> = Vec::new();
        for (position, user) in users.iter().enumerate() {
            let Some(user) = user else { continue };
            let at = position.to_string();
            if resolved.iter().any(|other| other.name == user.name) {
                self.mistake(
                    &["users", &at, "name"],
                    format!("user \"{}\" is listed twice", user.name),
                    "a user has one entry",
                );
            }
            let path = ["users", &at, "password"];
            let password = user.password.as_ref().and_then(|source| self.secret(&path, source));
            let common_names = self.common_names(&at, user);
            if by_password && !self.is_there(&path) && common_names.is_empty() {
                self.mistake(
                    &["users", &at],
                    format!("user \"{}\" has no password", user.name),
                    "add password = \"${VAR}\" or password = { file = \"…\" }, or set auth = \"trust\"",
                );
            }
            if let Some((problem, help)) =
                password.as_ref().and_then(|password| problem(password.expose()))
            {
                self.mistake(
                    &path,
                    format!("the password of user \"{}\" {problem}", user.name),
                    help,
                );
            }
            resolved.push(User {
                name: user.name.clone(),
                password,
                common_names,
                timeouts: self.timeouts_of(&at, user),
                max_connections: user.max_connections,
                replication: user.replication,
                admin: user.admin,
                stats: user.stats,
                role: self.role(&at, user),
                pool_size: user.pool_size,
                pool_mode: user.pool_mode.map(Into::into),
            });
        }
        resolved
    }

    /// The common names of the certificates that a user may show.
    fn common_names(&mut self, at: &str, user: &file::User) -> Vec<String> {
        let path = ["users", at, "common_names"];
        if self.is_there(&path) && !self.is_there(&["tls", "client_ca_file"]) {
            self.mistake(
                &path,
                "`common_names` where clients show no certificate",
                "set `client_ca_file` in [tls], or leave it out",
            );
        }
        if user.common_names.as_ref().is_some_and(Vec::is_empty) {
            self.mistake(
                &path,
                "no common name: nobody could log in",
                "name the common names, or leave the key out",
            );
        }
        user.common_names.iter().flatten().flatten().cloned().collect()
    }

    /// The role of a user's own in PostgreSQL.
    fn role(&mut self, at: &str, user: &file::User) -> Option<Role> {
        let path = ["users", at, "server_password"];
        let password = user.server_password.as_ref().and_then(|source| self.secret(&path, source));
        let is_verifier = |password: &Secret| password.expose().starts_with("SCRAM-SHA-256$");
        if password.as_ref().is_some_and(is_verifier) {
            self.mistake(
                &path,
                "a SCRAM verifier, with which one can't log in to a server",
                "write the password itself",
            );
        }
        if self.is_there(&path) && !self.is_there(&["users", at, "server_user"]) {
            self.mistake(
                &path,
                "`server_password` without `server_user`",
                "name the role that it is the password of, or leave it out: the `url` has the others' login",
            );
        }
        user.server_user.clone().map(|name| Role { name, password })
    }
}

/// Why nobody could log in with this password, or its verifier, and what to write.
fn problem(password: &str) -> Option<(&'static str, &'static str)> {
    if password.is_empty() {
        return Some(("is empty", "no client can log in with it: write the password"));
    }
    if let Some(verifier) = password.strip_prefix("SCRAM-SHA-256$") {
        return (!is_verifier(verifier)).then_some((
            "is a broken SCRAM verifier",
            "write it as pg_authid has it, SCRAM-SHA-256$iterations:salt$stored:server, or write the password itself",
        ));
    }
    let is_md5 = password
        .strip_prefix("md5")
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_md5.then_some((
        "is an MD5 hash, from which SCRAM can't be answered",
        "write the password itself, or what pg_authid has after ALTER ROLE … PASSWORD with password_encryption = scram-sha-256",
    ))
}

/// What follows `SCRAM-SHA-256$`: `iterations:salt$StoredKey:ServerKey` (pg_authid in PostgreSQL's
/// manual), both keys SHA-256 hashes.
fn is_verifier(text: &str) -> bool {
    let Some(((iterations, salt), (stored, server))) = text
        .split_once('$')
        .and_then(|(head, keys)| head.split_once(':').zip(keys.split_once(':')))
    else {
        return false;
    };
    let is_hash = |key: &str| decoded_length(key) == Some(32);
    iterations.parse::<u32>().is_ok_and(|count| count > 0)
        && decoded_length(salt).is_some_and(|length| length > 0)
        && is_hash(stored)
        && is_hash(server)
}

/// How many bytes this is in base64 (RFC 4648, with padding); `None` when it isn't.
fn decoded_length(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let is_base64 = text.len().is_multiple_of(4)
        && padding <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    is_base64.then(|| text.len() / 4 * 3 - padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers() {
        let key = "+//////////////////////////////////////////=";
        let cases = [
            (format!("4096:c2FsdA==${key}:{key}"), true),
            (format!("0:c2FsdA==${key}:{key}"), false),
            (format!("many:c2FsdA==${key}:{key}"), false),
            (format!("4096:${key}:{key}"), false),
            (format!("4096:c2FsdA${key}:{key}"), false),
            (format!("4096$c2FsdA==:{key}:{key}"), false),
            (format!("4096:c2FsdA==${key}"), false),
            (format!("4096:c2FsdA==${key}:c2hvcnQ="), false),
            (String::new(), false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_verifier(&text), expected, "{text}");
        }
    }
}
