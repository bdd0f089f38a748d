//! From the file's words to their meaning: names that refer to each other, units, secrets, defaults.

mod routes;
mod stores;
mod tables;
mod units;
mod users;

use std::path::Path;

use flywheel_types::TableName;

use crate::Diagnostic;
use crate::config::{Authentication, Config, Limits, Secret, Store};
use crate::file::{Auth, File, SecretSource};
use crate::tree::Node;

/// The configuration; `None` when something can't be resolved at all. Every mistake is added to `diagnostics`.
pub(crate) fn resolve(file: File, tree: &Node, folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Config> {
    let mut resolver = Resolver { tree, folder, diagnostics };
    let listen_text = file.listen.as_deref().unwrap_or("127.0.0.1:6432");
    let listen = listen_text.parse().ok();
    if listen.is_none() {
        resolver.mistake(
            &["listen"],
            format!("\"{listen_text}\" isn't a socket address"),
            "write an address and a port, such as 127.0.0.1:6432 or [::]:6432",
        );
    }
    let limits = file.limits.unwrap_or_default();
    let limits = Limits {
        max_fetch_rows: limits.max_fetch_rows.unwrap_or(10_000) as usize,
        max_message_size: resolver.size(&["limits", "max_message_size"], limits.max_message_size.as_ref(), 64 << 20),
        login_timeout: resolver.duration(&["limits", "login_timeout"], limits.login_timeout.as_deref(), "10s"),
    };
    let authentication = match file.auth {
        Some(Auth::Trust) => Authentication::Trust,
        Some(Auth::ScramSha256) | None => Authentication::ScramSha256,
    };
    let users = resolver.users(&file.users, authentication);
    let stores = resolver.stores(&file.stores);
    let primary = resolver.primary(&stores);
    let tables = resolver.tables(&file.tables, &stores);
    let routes = resolver.routes(&file.routes, primary.as_deref(), &stores);
    let primary = primary?;
    let database = file.database.or_else(|| match &stores[&primary] {
        Store::Postgres(postgres) => Some(postgres.url.database.clone()),
        _ => None,
    });
    Some(Config {
        listen: listen?,
        database: database.unwrap_or_else(|| "flywheel".into()),
        authentication,
        max_connections: file.max_connections.unwrap_or(1000) as usize,
        limits,
        users,
        stores,
        primary,
        tables,
        routes,
    })
}

/// What resolving needs, and where mistakes go.
pub(super) struct Resolver<'a> {
    tree: &'a Node,
    folder: &'a Path,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Resolver<'_> {
    /// Notes a mistake at a path of keys and array positions.
    fn mistake(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(self.tree.span(path), message, help));
    }

    /// A secret's text; `None` when its file can't be read.
    fn secret(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret> {
        match source {
            SecretSource::Text(text) => Some(Secret::new(text.clone())),
            SecretSource::File(source) => match std::fs::read_to_string(self.folder.join(&source.file)) {
                Ok(text) => Some(Secret::new(
                    text.strip_suffix('\n')
                        .map_or(text.as_str(), |text| text.trim_end_matches('\r'))
                        .to_owned(),
                )),
                Err(error) => {
                    self.mistake(
                        path,
                        format!("can't read the secret in {}: {error}", source.file),
                        "the path is relative to the configuration file",
                    );
                    None
                }
            },
        }
    }

    /// `schema.table` or `table`, parts quoted where they need it; `None` when it is neither.
    fn table_name(&mut self, path: &[&str], text: &str) -> Option<TableName> {
        let name = parse_table_name(text);
        if name.is_none() {
            self.mistake(
                path,
                format!("\"{text}\" isn't a table's name"),
                "write schema.table, with double quotes around parts that PostgreSQL would fold: public.\"Sessions\"",
            );
        }
        name
    }
}

fn parse_table_name(text: &str) -> Option<TableName> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (quoted[..end].to_owned(), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let part = &rest[..end];
                let plain = part.starts_with(|first: char| first.is_alphabetic() || first == '_')
                    && part.chars().all(|each| each.is_alphanumeric() || matches!(each, '_' | '$'));
                (plain.then(|| part.to_lowercase())?, &rest[end..])
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match tail.strip_prefix('.') {
            Some(tail) => rest = tail,
            None if tail.is_empty() => break,
            None => return None,
        }
    }
    match <[String; 2]>::try_from(parts) {
        Ok([schema, name]) => Some(TableName::new(schema, name)),
        Err(parts) => match <[String; 1]>::try_from(parts) {
            Ok([name]) => Some(TableName::new("public", name)),
            Err(_) => None,
        },
    }
}
