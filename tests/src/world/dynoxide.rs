//! A DynamoDB in this process.

use std::sync::{OnceLock, mpsc};

/// The endpoint of the embedded DynamoDB, which all tests of a process share: table prefixes keep
/// them apart.
pub fn dynoxide() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let (started, address) = mpsc::channel();
        // On a runtime of its own: it works in the database within its tasks, and outlives the test
        // that began it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                started.send(listener.local_addr().expect("an address")).expect("a test");
                let database = ::dynoxide::Database::memory().expect("a database");
                let _ = ::dynoxide::server::serve_with_shutdown(
                    listener,
                    database,
                    std::future::pending(),
                )
                .await;
            });
        });
        format!("http://{}", address.recv().expect("an address"))
    })
}
