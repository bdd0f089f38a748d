//! `[[routes]]`

use std::collections::BTreeMap;

use super::Resolver;
use crate::config::{Route, RouteTarget, StatementKind, Store};
use crate::file::{self, KindName, When};

impl Resolver<'_> {
    pub(super) fn routes(&mut self, routes: &[file::Route], primary: Option<&str>, stores: &BTreeMap<String, Store>) -> Vec<Route> {
        let mut resolved = Vec::new();
        for (position, route) in routes.iter().enumerate() {
            let at = position.to_string();
            if route.when == When::default() {
                self.mistake(
                    &["routes", &at, "when"],
                    "a route without a condition",
                    "give at least one of user, kind, tables; statements that no route matches go to the primary",
                );
            }
            if let Some(earlier) = routes[..position].iter().position(|earlier| covers(&earlier.when, &route.when)) {
                let message = format!(
                    "this route is never reached: route {} before it matches all of its statements",
                    earlier + 1
                );
                self.mistake(
                    &["routes", &at, "when"],
                    message,
                    "the first route that matches decides: put the narrower one first",
                );
            }
            let names = route.when.tables.as_deref().unwrap_or_default();
            let tables = names
                .iter()
                .enumerate()
                .filter_map(|(place, name)| self.table_name(&["routes", &at, "when", "tables", &place.to_string()], name))
                .collect();
            let kind = route.when.kind.map(|kind| match kind {
                KindName::Read => StatementKind::Read,
                KindName::Write => StatementKind::Write,
            });
            if let Some(to) = self.target(&at, route, primary, stores) {
                resolved.push(Route {
                    user: route.when.user.clone(),
                    kind,
                    tables,
                    to,
                });
            }
        }
        resolved
    }

    fn target(&mut self, at: &str, route: &file::Route, primary: Option<&str>, stores: &BTreeMap<String, Store>) -> Option<RouteTarget> {
        let primary = primary?;
        let replicas = format!("{primary}.replicas");
        if route.to == primary {
            return Some(RouteTarget::Primary);
        }
        if route.to != replicas {
            self.mistake(
                &["routes", at, "to"],
                format!("\"{}\" isn't a target", route.to),
                format!("targets are \"{primary}\" and \"{replicas}\""),
            );
            return None;
        }
        let has_replicas = matches!(&stores[primary], Store::Postgres(postgres) if !postgres.replicas.is_empty());
        if !has_replicas {
            self.mistake(
                &["routes", at, "to"],
                format!("store \"{primary}\" has no replicas"),
                format!("add replicas = [\"postgres://…\"] to stores.{primary}"),
            );
        }
        if route.when.kind == Some(KindName::Write) {
            self.mistake(
                &["routes", at, "to"],
                "writes can't go to replicas",
                format!("use kind = \"read\", or to = \"{primary}\""),
            );
        }
        Some(RouteTarget::Replicas)
    }
}

/// Whether every statement that `later` matches is matched by `earlier`.
fn covers(earlier: &When, later: &When) -> bool {
    let user = earlier.user.is_none() || earlier.user == later.user;
    let kind = earlier.kind.is_none() || earlier.kind == later.kind;
    let tables = match (&earlier.tables, &later.tables) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => later.iter().all(|table| earlier.contains(table)),
    };
    user && kind && tables
}
