//! The default without a configuration: everything embedded, with a data set to try.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use flywheel_config::{Config, Store};
use flywheel_embedded::dataset;
use flywheel_kind::{Kinds, Place};
use tokio_postgres::error::SqlState;

/// The configuration that `config/embedded.toml` writes out, with its data in `data`.
pub(crate) fn config(data: Option<&Path>, kinds: Kinds<'_>) -> anyhow::Result<Config> {
    let text = include_str!("../../../config/embedded.toml");
    let text = match data {
        Some(data) => {
            std::fs::create_dir_all(data)
                .with_context(|| format!("can't make the folder {}", data.display()))?;
            keeping(text, &std::path::absolute(data)?, kinds)?
        }
        None => text.to_owned(),
    };
    Ok(flywheel_config::parse("config/embedded.toml", &text, &|_| None, kinds)?)
}

/// The configuration with each store's data in this folder.
fn keeping(text: &str, data: &Path, kinds: Kinds<'_>) -> anyhow::Result<String> {
    let mut file: toml::Table = text.parse()?;
    let stores = file.get_mut("stores").and_then(toml::Value::as_table_mut);
    for (_, section) in stores.into_iter().flatten() {
        let Some(section) = section.as_table_mut() else { continue };
        let kind = section.get("kind").and_then(toml::Value::as_str);
        let place = match kind {
            Some("embedded-postgres") => Some(Place { key: "data", name: "postgres" }),
            kind => {
                kinds.iter().find(|each| Some(each.name()) == kind).and_then(|each| each.place())
            }
        };
        let Some(place) = place else { continue };
        let path = data.join(place.name);
        let path = path.to_str().context("the data folder's name isn't UTF-8")?;
        // A file of the configuration may name environment variables.
        section.insert(place.key.into(), path.replace("${", "$${").into());
    }
    Ok(file.to_string())
}

/// Creates the tables and, when they are new, fills them: through the gateway, as any client would.
pub(crate) async fn load_data_set(gateway: SocketAddr, database: &str) -> anyhow::Result<()> {
    let (client, connection) = connect(gateway, database).await?;
    let connection = tokio::spawn(connection);
    let is_new = match client.batch_execute("SELECT FROM users LIMIT 0").await {
        Ok(()) => false,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => true,
        Err(error) => return Err(error).context("look for the data set"),
    };
    for statement in dataset::schema().iter().chain(dataset::rows().iter().filter(|_| is_new)) {
        client.batch_execute(statement).await.with_context(|| {
            format!("load the data set: {}", statement.lines().next().unwrap_or_default())
        })?;
    }
    drop(client);
    let _ = connection.await;
    Ok(())
}

async fn connect(
    gateway: SocketAddr,
    database: &str,
) -> anyhow::Result<(
    tokio_postgres::Client,
    tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>,
)> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(reachable(gateway).ip().to_string())
        .port(gateway.port())
        .user("flywheel")
        .dbname(database)
        .application_name("flywheel data set");
    config.connect(tokio_postgres::NoTls).await.context("connect to the gateway")
}

/// An address to connect to: 0.0.0.0 is only one to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port())
    } else {
        address
    }
}

/// What lives where, and what to try.
pub(crate) fn print_banner(gateway: SocketAddr, config: &Config) {
    let address = reachable(gateway);
    println!("One PostgreSQL endpoint, three stores:");
    println!("  {:<16} users, lessons, enrolments, words", "PostgreSQL");
    for (name, store) in &config.stores {
        let tables: Vec<_> = config
            .tables
            .iter()
            .filter(|table| table.store == *name)
            .map(|table| table.name.name.as_str())
            .collect();
        if !tables.is_empty() {
            let Store::Home(home) = store else { continue };
            let kind = home.kind.title();
            println!("  {kind:<16} {}", tables.join(", "));
        }
    }
    println!("\nTry:");
    for sample in dataset::SAMPLES {
        println!("  # {}", sample.title);
        println!(
            "  psql -h {} -p {} -U flywheel {} -c \"{}\"",
            address.ip(),
            address.port(),
            config.database,
            sample.sql
        );
    }
    println!("  # EXPLAIN in front of a statement shows how it is answered\n");
}
