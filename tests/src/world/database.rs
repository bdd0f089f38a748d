//! Databases that live as long as a test.

use super::connect;

/// A fresh database, dropped with this.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    pub(crate) async fn create(server: &str, name: &str) -> Self {
        let client = connect(server).await;
        client
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
            .await
            .expect("a database");
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        Self { server: server.to_owned(), name: name.to_owned(), url: format!("{base}/{name}") }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where drivers find it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's host and port.
    pub fn address(&self) -> &str {
        self.url
            .split_once('@')
            .and_then(|(_, rest)| rest.split('/').next())
            .expect("a URL with an address")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime of its own: this may be inside one, where blocking isn't possible.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let client = connect(&server).await;
                // The slot of a gateway that has just gone may be there still for a moment.
                for _ in 0..50 {
                    if client.batch_execute(&drop).await.is_ok() {
                        return Ok(());
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                client.batch_execute(&drop).await
            })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("database {} stays behind", self.name);
        }
    }
}
