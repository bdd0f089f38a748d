//! The guide's configurations, with the tests' servers in the place of those that it names.

use std::collections::BTreeMap;

/// The password that stands for every `${NAME}`.
pub(super) const PASSWORD: &str = "secret";

/// Where the tests' servers are.
#[derive(Debug)]
pub(super) struct Places {
    /// PostgreSQL's URL.
    pub(super) postgres: String,
    /// Redis' URL, with a database of the chapter's own.
    pub(super) redis: String,
    /// DynamoDB's endpoint.
    pub(super) dynamodb: String,
    /// The access key, by which DynamoDB Local tells its users' tables apart.
    pub(super) access_key: String,
}

/// The configuration as the tests can run it.
pub(super) fn real(text: &str, places: &Places) -> String {
    let kinds = kinds(text);
    let mut section = String::new();
    let mut real = String::from("database = \"app\"\n");
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        match (kinds.get(&section).map(String::as_str), key) {
            (Some("postgres"), "url") => real.push_str(&format!("url = {:?}", places.postgres)),
            (Some("redis"), "url") => real.push_str(&format!("url = {:?}", places.redis)),
            (Some("dynamodb"), "region") => real.push_str(&format!(
                "region = \"eu-central-1\"\nendpoint = {:?}\naccess_key_id = {:?}\nsecret_access_key = {PASSWORD:?}",
                places.dynamodb, places.access_key
            )),
            (_, "listen") => real.push_str("listen = \"127.0.0.1:0\""),
            _ => real.push_str(&without_variables(line)),
        }
        real.push('\n');
    }
    real
}

/// Sections that a part of a file needs to be a whole one.
pub(super) fn completed(text: &str) -> String {
    let kinds = kinds(text);
    let has = |kind: &str| kinds.values().any(|found| found == kind);
    let mut whole = String::new();
    if !text.contains("[[users]]") && !text.contains("auth ") {
        whole.push_str("auth = \"trust\"\n");
    }
    whole.push_str(text);
    if !has("postgres") {
        whole.push_str("\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\n");
    }
    whole
}

/// The names of the variables in a text.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn without_variables(line: &str) -> String {
    variables(line)
        .fold(line.to_owned(), |line, name| line.replace(&format!("${{{name}}}"), PASSWORD))
}

/// The stores' sections and their kinds.
fn kinds(text: &str) -> BTreeMap<String, String> {
    let mut kinds = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once('=')
            && key.trim() == "kind"
            && section.starts_with("stores.")
        {
            kinds.insert(section.to_owned(), value.trim().trim_matches('"').to_owned());
        }
    }
    kinds
}
