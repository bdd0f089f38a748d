//! The example files.
#![allow(dead_code, reason = "each test uses some of this")]

pub(crate) const EMBEDDED: &str = include_str!("../../../../config/embedded.toml");
pub(crate) const PRODUCTION: &str = include_str!("../../../../config/production.toml");

/// The file with the lines that are commented out put into force: `# key = …` and `# [[table]]`.
pub(crate) fn uncommented(file: &str) -> String {
    let is_key = |line: &str| {
        line.split_once('=').is_some_and(|(key, _)| {
            key.trim_end().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    };
    file.lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') || is_key(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}
