//! Views over store tables: PostgreSQL would find its own empty tables, so each view's query is put in its place.

use flywheel_plan::{Visible, substitute};
use flywheel_sql::{Role, parse, split};
use flywheel_wire::quote::literal;

use super::{Answer, StoreStatement};
use crate::homes::Known;
use crate::session::{Outcome, Session};

/// How deep views may stand in views.
const DEPTH: usize = 16;

impl Session {
    /// The text with the queries of views in the views' places.
    pub(super) async fn with_views(&mut self, mut text: String, known: &Known, visible: &Visible) -> Outcome<String> {
        if known.views.is_empty() {
            return Ok(text);
        }
        for _ in 0..DEPTH {
            let start = readable(&text);
            let Ok(parsed) = parse(&text[start..]) else { return Ok(text) };
            let mut places = Vec::new();
            for relation in parsed.relations.iter().filter(|relation| relation.role == Role::Read) {
                if let Some(view) = visible.resolve(&relation.name).filter(|view| known.views.contains(view)) {
                    let range = relation.range.start + start..relation.range.end + start;
                    let alias = relation.alias.is_none().then(|| view.name.clone());
                    places.push((range, view, alias));
                }
            }
            if places.is_empty() {
                return Ok(text);
            }
            places.sort_by_key(|(range, ..)| range.start);
            let mut replacements = Vec::new();
            for (range, view, alias) in places {
                let sql = format!("SELECT pg_catalog.pg_get_viewdef({}::pg_catalog.regclass)", literal(&view.to_sql()));
                let lease = self.server().await?;
                let asked = lease.query(&sql).await;
                let rows = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
                let query = rows.text(0, 0).trim().trim_end_matches(';').to_owned();
                let alias = alias.map_or_else(String::new, |name| format!(" AS {}", flywheel_types::quote_identifier(&name)));
                replacements.push((range, format!("({query}){alias}")));
            }
            text = substitute(&text, &replacements);
        }
        Ok(text)
    }

    /// CREATE VIEW, which makes a name to be looked for in statements.
    pub(super) async fn create_view(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let tag = self.on_server(&statement.text).await?;
        self.reload_catalogue().await?;
        Ok(Answer::tagged(tag))
    }
}

/// Where what the parser reads begins: behind EXPLAIN and its options.
fn readable(text: &str) -> usize {
    let statements = split(text);
    let tokens = statements.first().map_or(&[][..], |statement| &statement.tokens);
    let explains = tokens.first().is_some_and(|first| first.is_keyword(text, "explain"));
    let verbs = ["select", "with", "insert", "update", "delete"];
    let inner = tokens.iter().find(|token| verbs.iter().any(|verb| token.is_keyword(text, verb)));
    inner.filter(|_| explains).map_or(0, |token| token.range.start)
}
