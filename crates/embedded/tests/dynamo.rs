//! The embedded DynamoDB as its HTTP clients find it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use flywheel_embedded::EmbeddedDynamo;

/// One request as the SDK would send it, and the whole answer.
fn call(server: &EmbeddedDynamo, operation: &str, body: &str) -> String {
    let address = server.endpoint().strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: DynamoDB_20120810.{operation}\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=any/20260101/eu-central-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=00\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn start(data: Option<&std::path::Path>) -> EmbeddedDynamo {
    let started = Instant::now();
    let server = EmbeddedDynamo::start(data).unwrap();
    println!("started in {:?}", started.elapsed());
    server
}

const TABLE: &str = r#"{"TableName": "words", "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}"#;

#[test]
fn keeps_its_data_from_one_start_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(Some(folder.path()));
    assert!(call(&server, "CreateTable", TABLE).starts_with("HTTP/1.1 200"));
    let put = call(
        &server,
        "PutItem",
        r#"{"TableName": "words", "Item": {"k": {"S": "a"}, "v": {"N": "42"}}}"#,
    );
    assert!(put.starts_with("HTTP/1.1 200"), "{put}");
    assert!(
        EmbeddedDynamo::start(Some(folder.path()))
            .unwrap_err()
            .to_string()
            .contains("in use by another")
    );
    server.stop().unwrap();

    let server = start(Some(folder.path()));
    let got = call(&server, "GetItem", r#"{"TableName": "words", "Key": {"k": {"S": "a"}}}"#);
    assert!(got.contains(r#""v":{"N":"42"}"#), "{got}");
    server.stop().unwrap();
}

#[test]
fn in_memory_every_start_is_empty() {
    for _ in 0..2 {
        let server = start(None);
        assert!(call(&server, "ListTables", "{}").contains(r#""TableNames":[]"#));
        assert!(call(&server, "CreateTable", TABLE).starts_with("HTTP/1.1 200"));
        server.stop().unwrap();
    }
}

#[test]
fn survives_clients_that_vanish_and_stops_beside_one_that_dawdles() {
    let server = start(None);
    let address = server.endpoint().strip_prefix("http://").unwrap().to_owned();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.write_all(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{").unwrap();
    }
    assert!(call(&server, "ListTables", "{}").starts_with("HTTP/1.1 200"));

    let mut dawdling = TcpStream::connect(&address).unwrap();
    dawdling.write_all(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{").unwrap();
    assert!(call(&server, "ListTables", "{}").starts_with("HTTP/1.1 200"));
    server.stop().unwrap();
}
