//! SHOW DATABASES and USERS: what the configuration has, and how many clients each has now.

use flywheel_console::{Column, Rights, Row, Value};

use crate::reception::Reception;

pub(super) const DATABASES: [Column; 7] = [
    Column::Text("name"),
    Column::Text("host"),
    Column::Text("database"),
    Column::Number("pool_size"),
    Column::Text("pool_mode"),
    Column::Number("max_connections"),
    Column::Number("current_connections"),
];

pub(super) fn databases(reception: &Reception) -> Vec<Row> {
    let roster = reception.roster.all();
    let rules = reception.rules();
    let row = |shared: &std::sync::Arc<crate::shared::Shared>| -> Row {
        let name = shared.name();
        let server = shared.pool().server();
        let here = roster.iter().filter(|sight| sight.who.database == name).count();
        let mode = reception.pool_mode(name, "");
        vec![
            name.into(),
            server.host.to_string().into(),
            server.database.clone().into(),
            shared.pool().options().size.into(),
            mode.name().into(),
            rules.most.in_databases.get(name).copied().into(),
            here.into(),
        ]
    };
    reception.databases().map(row).collect()
}

pub(super) const USERS: [Column; 7] = [
    Column::Text("name"),
    Column::Text("role"),
    Column::Text("console"),
    Column::Number("pool_size"),
    Column::Text("pool_mode"),
    Column::Number("max_user_connections"),
    Column::Number("current_connections"),
];

pub(super) fn users(reception: &Reception) -> Vec<Row> {
    let roster = reception.roster.all();
    let rules = reception.rules();
    let row = |user: &crate::options::User| -> Row {
        let here = roster.iter().filter(|sight| sight.who.user == user.name).count();
        let console = user.console.map_or(Value::Null, |rights| match rights {
            Rights::All => "admin".into(),
            Rights::Show => "stats".into(),
        });
        vec![
            user.name.clone().into(),
            user.role.as_ref().map(|(role, _)| role.clone()).into(),
            console,
            user.pool_size.into(),
            user.pool_mode.map(|mode| mode.name()).into(),
            rules.most.of_users.get(&user.name).copied().into(),
            here.into(),
        ]
    };
    rules.users().iter().map(row).collect()
}
