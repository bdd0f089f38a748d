//! `[[routes]]`

use flywheel_types::TableName;

use super::{Known, Resolver};
use crate::config::{PoolMode, Route, RouteTarget, StatementKind, Store};
use crate::file::{self, KindName};
use crate::near::nearest;

impl Resolver<'_> {
    pub(super) fn routes(
        &mut self,
        routes: &[Option<file::Route>],
        known: &Known<'_>,
    ) -> Vec<Route> {
        let mut resolved: Vec<Route> = Vec::new();
        // Those of which every condition is known, with their numbers.
        let mut whole: Vec<(usize, Route)> = Vec::new();
        for (position, route) in routes.iter().enumerate() {
            let Some(route) = route else { continue };
            let at = position.to_string();
            let to = self.target(&at, route, known);
            let (is_whole, route) =
                self.route(&at, route, to.unwrap_or(RouteTarget::Primary), known);
            if let Some((number, _)) = whole.iter().find(|(_, earlier)| covers(earlier, &route)) {
                self.mistake(
                    &["routes", &at, "when"],
                    format!("this route is never reached: route {number} before it matches all of its statements"),
                    "the first route that matches decides: put the narrower one first",
                );
            }
            if is_whole {
                whole.push((position + 1, route.clone()));
            }
            resolved.push(route);
        }
        resolved
    }

    /// A route, and whether its conditions are all right.
    fn route(
        &mut self,
        at: &str,
        route: &file::Route,
        to: RouteTarget,
        known: &Known<'_>,
    ) -> (bool, Route) {
        let when = &route.when;
        if self.count(&["routes", at, "when"]) == 0 {
            self.mistake(
                &["routes", at, "when"],
                "a route without a condition",
                "give at least one of user, kind, tables; statements that no route matches go to the primary",
            );
        }
        if let Some(name) = &when.user {
            self.is_user(&["routes", at, "when", "user"], name, known);
        }
        let tables = self.route_tables(at, when.tables.as_deref(), known);
        let given = [when.user.is_some(), when.kind.is_some(), when.tables.is_some()];
        let count = given.into_iter().filter(|given| *given).count();
        let is_whole = count > 0
            && count == self.count(&["routes", at, "when"])
            && tables.len() == self.count(&["routes", at, "when", "tables"])
            && when.tables.as_ref().is_none_or(|tables| !tables.is_empty());
        let kind = when.kind.map(|kind| match kind {
            KindName::Read => StatementKind::Read,
            KindName::Write => StatementKind::Write,
        });
        let route = Route { user: when.user.clone(), kind, tables, to };
        (is_whole, route)
    }

    /// Reports a user who can't log in.
    pub(super) fn is_user(&mut self, path: &[&str], name: &str, known: &Known<'_>) {
        if let Some(users) = known.users
            && !users.is_empty()
            && users.len() == self.count(&["users"])
            && users.iter().all(|user| user.name != name)
        {
            let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
            self.mistake(
                path,
                format!("there is no user \"{name}\""),
                format!("users that can log in: {}", names.join(", ")),
            );
        }
    }

    fn route_tables(
        &mut self,
        at: &str,
        names: Option<&[Option<String>]>,
        known: &Known<'_>,
    ) -> Vec<TableName> {
        if names.is_some_and(<[_]>::is_empty) {
            self.mistake(
                &["routes", at, "when", "tables"],
                "a route for no tables",
                "name at least one, or leave the key out: any",
            );
        }
        let mut tables = Vec::new();
        for (place, name) in names.unwrap_or_default().iter().enumerate() {
            let place = place.to_string();
            let path = ["routes", at, "when", "tables", &place];
            let Some(table) = name.as_ref().and_then(|name| self.table_name(&path, name)) else {
                continue;
            };
            if let Some(home) = known.tables.iter().find(|home| home.name == table) {
                self.mistake(
                    &path,
                    format!("table \"{table}\" is in store \"{}\"", home.store),
                    "routes are for PostgreSQL's own tables: leave it out",
                );
            }
            tables.push(table);
        }
        tables
    }

    fn target(&mut self, at: &str, route: &file::Route, known: &Known<'_>) -> Option<RouteTarget> {
        let primary = known.primary?;
        if route.to == primary {
            return Some(RouteTarget::Primary);
        }
        let path = ["routes", at, "to"];
        let replicas = format!("{primary}.replicas");
        if route.to != replicas {
            let help = format!("targets are \"{primary}\" and \"{replicas}\"");
            let help = match nearest(&route.to, [primary, &replicas].into_iter()) {
                Some(near) => format!("did you mean \"{near}\"? {help}"),
                None => help,
            };
            self.mistake(&path, format!("\"{}\" isn't a target", route.to), help);
            return None;
        }
        let (is_embedded, has_replicas) = match &known.stores[primary] {
            // One with a mistake is a replica all the same.
            Store::Postgres(_) => (false, self.is_filled(&["stores", primary, "replicas"])),
            _ => (true, false),
        };
        if !has_replicas {
            let help = match is_embedded {
                true => format!(
                    "an embedded PostgreSQL has none: use to = \"{primary}\", or leave the route out"
                ),
                false => format!("add replicas = [\"postgres://…\"] to stores.{primary}"),
            };
            self.mistake(&path, format!("store \"{primary}\" has no replicas"), help);
        }
        if route.when.kind == Some(KindName::Write) {
            self.mistake(
                &path,
                "writes can't go to replicas",
                format!("use kind = \"read\", or to = \"{primary}\""),
            );
        }
        if let Store::Postgres(postgres) = &known.stores[primary] {
            let user = known
                .users
                .into_iter()
                .flatten()
                .find(|user| Some(&user.name) == route.when.user.as_ref());
            let of_user = user.and_then(|user| user.pool_mode);
            let is_session =
                |mode: Option<PoolMode>| mode.is_none_or(|mode| mode == PoolMode::Session);
            let of_others = of_user.is_none()
                && !known.databases.iter().all(|database| is_session(database.pool_mode))
                || route.when.user.is_none()
                    && !known.users.into_iter().flatten().all(|user| is_session(user.pool_mode));
            if of_user.unwrap_or(postgres.pool_mode) == PoolMode::Session && !of_others {
                self.mistake(
                    &path,
                    "with pool_mode = \"session\" a client keeps its connection to the primary",
                    "leave the route out, or use pool_mode = \"transaction\" for those whose reads go to replicas",
                );
            }
        }
        Some(RouteTarget::Replicas)
    }
}

/// Whether every statement that `later` matches is matched by `earlier`.
fn covers(earlier: &Route, later: &Route) -> bool {
    let user = earlier.user.is_none() || earlier.user == later.user;
    let kind = earlier.kind.is_none() || earlier.kind == later.kind;
    let tables = earlier.tables.is_empty()
        || !later.tables.is_empty()
            && later.tables.iter().all(|table| earlier.tables.contains(table));
    user && kind && tables
}
