//! A DynamoDB-compatible server in memory, for benches/stores. Prints its endpoint and serves until
//! it is ended.

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    let database = dynoxide::Database::memory().expect("a database");
    let _ = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
}
