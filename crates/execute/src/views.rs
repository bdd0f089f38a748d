//! Views over store tables. Where one is read, PostgreSQL would find its own empty tables, so the
//! view's query is put in its place. Where one is written to, PostgreSQL does so itself, on staged
//! rows: which those are is found from the view's query.
//!
//! A view over a store table is its query, in parentheses: it is put in before the statement is
//! planned. What PostgreSQL described is the statement as the client wrote it. A view that is
//! written to stays in the text: PostgreSQL rewrites the statement to its table, on staged rows.
//! Only the plan is made with the query in its place (`sql/through.rs`).

use flywheel_plan::{Visible, substitute};
use flywheel_sql::{Explained, Relation, Role, Through, base_of, parse, split};
use flywheel_types::{TableName, quote_identifier};
use flywheel_wire::quote::literal;
use flywheel_wire::{PgError, sqlstate};

use super::{Answer, StoreStatement};
use crate::failure::Outcome;
use crate::homes::Known;
use crate::host::{Executor, Host};

/// How deep views may stand in views.
const DEPTH: usize = 16;

impl<H: Host> Executor<'_, H> {
    /// The text with the queries of views in the views' places.
    pub(super) async fn with_views(
        &mut self,
        mut text: String,
        known: &Known,
        visible: &Visible,
    ) -> Outcome<String> {
        if known.views.is_empty() {
            return Ok(text);
        }
        for _ in 0..DEPTH {
            let start = readable(&text);
            let Ok(parsed) = parse(&text[start..]) else { return Ok(text) };
            let mut places = Vec::new();
            for relation in parsed.relations.iter().filter(|relation| relation.role == Role::Read) {
                if let Some(view) =
                    visible.resolve(&relation.name).filter(|view| known.views.contains(view))
                {
                    places.push((relation, view));
                }
            }
            if places.is_empty() {
                return Ok(text);
            }
            let mut replacements = Vec::new();
            for (relation, view) in places {
                let query = self.view_query(&view).await?;
                let alias = relation.alias.is_none().then_some(view.name.as_str());
                let replaced = relation.replaced(subquery(&query, alias)).into_iter();
                replacements.extend(
                    replaced.map(|(range, with)| (range.start + start..range.end + start, with)),
                );
            }
            replacements.sort_by_key(|(range, _)| range.start);
            text = substitute(&text, &replacements);
        }
        Ok(text)
    }

    /// The views that the statement writes to, each with its query in the place of its name.
    /// PostgreSQL writes to their tables, which must be in stores.
    pub(super) async fn written_views(
        &mut self,
        text: &str,
        known: &Known,
        visible: &Visible,
    ) -> Outcome<Vec<Through>> {
        let mut found = Vec::new();
        if known.views.is_empty() {
            return Ok(found);
        }
        let start = readable(text);
        let Ok(parsed) = parse(&text[start..]) else { return Ok(found) };
        for relation in parsed.relations.iter().filter(|relation| relation.role == Role::Target) {
            let Some(view) =
                visible.resolve(&relation.name).filter(|view| known.views.contains(view))
            else {
                continue;
            };
            let query = self.view_query(&view).await?;
            let table = self.table_behind(&view, &query, known, visible).await?;
            let query = Box::pin(self.with_views(query, known, visible)).await?;
            let is_home =
                |relation: &Relation| known.homes.resolve(&relation.name, visible).is_some();
            let with = if !relation.inserted {
                let alias = relation.alias.is_none().then_some(view.name.as_str());
                subquery(&query, alias)
            } else if parse(&query).is_ok_and(|parsed| {
                parsed.relations.iter().filter(|each| is_home(each)).count() == 1
            }) {
                table.to_sql()
            } else {
                return Err(refused(
                    &view,
                    "its condition reads other store tables",
                    "INSERT into the table itself.",
                )
                .into());
            };
            found.push(Through {
                range: relation.range.start + start..relation.range.end + start,
                with,
            });
        }
        found.sort_by_key(|view| view.range.start);
        Ok(found)
    }

    /// The store table that PostgreSQL writes to in a view's place.
    async fn table_behind(
        &mut self,
        view: &TableName,
        query: &str,
        known: &Known,
        visible: &Visible,
    ) -> Outcome<TableName> {
        let (mut at, mut query) = (view.clone(), query.to_owned());
        for _ in 0..DEPTH {
            let sql = format!(
                "SELECT tgname FROM pg_catalog.pg_trigger WHERE tgrelid = {0}::pg_catalog.regclass UNION ALL \
                 SELECT rulename FROM pg_catalog.pg_rewrite WHERE ev_class = {0}::pg_catalog.regclass AND rulename <> '_RETURN'",
                literal(&at.to_sql())
            );
            let lease = self.server().await?;
            let asked = lease.query(&sql).await;
            let acts = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
            if !acts.rows.is_empty() {
                let what =
                    format!("what its trigger or rule \"{}\" does would be lost", acts.text(0, 0));
                return Err(refused(view, &what, "Write to the table itself.").into());
            }
            match base_of(&query).and_then(|base| visible.resolve(&base)) {
                Some(base) if known.homes.get(&base).is_some() => return Ok(base),
                Some(base) if known.views.contains(&base) => {
                    query = self.view_query(&base).await?;
                    at = base;
                }
                _ => break,
            }
        }
        let hint = "Write to the table itself; a table in PostgreSQL whose rows depend on a store's is written to with the store table in a subquery.";
        Err(refused(view, "the table behind it isn't one of a store", hint).into())
    }

    async fn view_query(&mut self, view: &TableName) -> Outcome<String> {
        let sql = format!(
            "SELECT pg_catalog.pg_get_viewdef({}::pg_catalog.regclass)",
            literal(&view.to_sql())
        );
        let lease = self.server().await?;
        let asked = lease.query(&sql).await;
        let rows = asked.map_err(|error| self.server_failed(&error))?.pop().unwrap_or_default();
        // PostgreSQL prints strings as the session's setting reads them.
        Ok(self.conforming(rows.text(0, 0).trim().trim_end_matches(';')).into_owned())
    }

    /// CREATE VIEW, which makes a name to be looked for in statements.
    pub(super) async fn create_view(&mut self, statement: &StoreStatement) -> Outcome<Answer> {
        let answer = self.on_server_with_notices(&statement.text).await?;
        self.reload_catalogue().await?;
        Ok(answer)
    }
}

fn subquery(query: &str, alias: Option<&str>) -> String {
    let alias = alias.map_or_else(String::new, |name| format!(" AS {}", quote_identifier(name)));
    format!("({query}){alias}")
}

fn refused(view: &TableName, why: &str, hint: &'static str) -> PgError {
    let message = format!("view \"{view}\", over a store table, can't be written to: {why}");
    PgError::error(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_hint(hint)
        .with_field(b's', view.schema.clone())
        .with_field(b't', view.name.clone())
}

/// Where what the parser reads begins: behind EXPLAIN and its options.
fn readable(text: &str) -> usize {
    let statements = split(text);
    let tokens = statements.first().map_or(&[][..], |statement| &statement.tokens);
    Explained::of(text, tokens).map_or(0, |explained| explained.start)
}
