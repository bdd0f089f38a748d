//! A DynamoDB endpoint in front of another, which does what emulators don't: throttle, and leave
//! parts of batches unprocessed.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GetItem` and the like.
    pub operation: String,
    /// The Authorization header.
    pub authorization: String,
    /// The X-Amz-Security-Token header; empty when there is none.
    pub token: String,
    /// The body.
    pub body: Value,
}

/// What becomes of requests before they are passed on.
#[derive(Debug, Clone)]
enum Rule {
    /// The next ones of an operation are refused with an error of this code.
    Refuse { operation: String, left: usize, answer: Value },
    /// Of a batch only so many keys or requests are looked at.
    Part(usize),
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Request>,
}

/// The endpoint. Its requests go to another.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Endpoint {
    /// An endpoint in front of the one at `behind`, `http://host:port`.
    pub async fn in_front_of(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let behind = behind.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (behind, state) = (behind.clone(), shared.clone());
                // A client that goes away, or a server that does, ends its connection.
                tokio::spawn(async move { serve(client, &behind, &state).await });
            }
        });
        Self { url, state }
    }

    /// `http://host:port`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Refuses the next requests of an operation with an error of this code.
    pub fn refuse(&self, operation: &str, times: usize, code: &str) {
        let message = "The level of configured provisioned throughput for the table was exceeded.";
        self.answer(
            operation,
            times,
            json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message }),
        );
    }

    /// Refuses the next requests of an operation with this error.
    pub fn answer(&self, operation: &str, times: usize, answer: Value) {
        let operation = operation.to_owned();
        self.lock().rules.push(Rule::Refuse { operation, left: times, answer });
    }

    /// Leaves all but so many keys of each BatchGetItem unprocessed from now on.
    pub fn process_only(&self, keys: usize) {
        self.lock().rules.push(Rule::Part(keys));
    }

    /// The requests of an operation until now.
    pub fn seen(&self, operation: &str) -> Vec<Request> {
        self.lock().seen.iter().filter(|request| request.operation == operation).cloned().collect()
    }

    /// Forgets rules and requests.
    pub fn reset(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }
}

/// Sends a request of another application to a DynamoDB, which must take it.
pub async fn send(url: &str, operation: &str, body: &Value) -> Value {
    let head = format!(
        "POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
         X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0000000000000000000000000000000000000000000000000000000000000000"
    );
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let (status, answer) = pass_on(host, &head, body).await.expect("an answer");
    assert!(status.starts_with("200"), "{operation}: {status} {answer}");
    answer
}

async fn serve(mut client: TcpStream, behind: &str, state: &Mutex<State>) -> Option<()> {
    loop {
        let (head, body) = read_message(&mut client).await?;
        let request = Request {
            operation: header(&head, "x-amz-target")
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            authorization: header(&head, "authorization"),
            token: header(&head, "x-amz-security-token"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let (refusal, kept) = judge(&mut state.lock().expect("the state"), request.clone());
        let (status, answer) = match refusal {
            // Nothing is left that could be passed on.
            None if kept == Some(0) => {
                ("200 OK".to_owned(), json!({ "UnprocessedKeys": request.body["RequestItems"] }))
            }
            Some(refusal) => ("400 Bad Request".to_owned(), refusal),
            None => {
                let mut passed = request.body;
                let rest = kept.and_then(|kept| split(&mut passed, kept));
                let (status, mut answer) = pass_on(behind, &head, &passed).await?;
                if let Some(rest) = rest {
                    answer["UnprocessedKeys"] = rest;
                }
                (status, answer)
            }
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.write_all((head + &body).as_bytes()).await.ok()?;
    }
}

/// The refusal of a request, or how many keys of it are read.
fn judge(state: &mut State, request: Request) -> (Option<Value>, Option<usize>) {
    let (mut refusal, mut kept) = (None, None);
    for rule in &mut state.rules {
        match rule {
            Rule::Refuse { operation, left, answer }
                if *operation == request.operation && *left > 0 && refusal.is_none() =>
            {
                *left -= 1;
                refusal = Some(answer.clone());
            }
            Rule::Part(keys) if request.operation == "BatchGetItem" => kept = Some(*keys),
            _ => {}
        }
    }
    state.seen.push(request);
    (refusal, kept)
}

/// Takes the keys past the first ones out of a batch.
fn split(body: &mut Value, kept: usize) -> Option<Value> {
    let tables = body["RequestItems"].as_object_mut()?;
    let mut unprocessed = serde_json::Map::new();
    for (table, wanted) in tables {
        let keys = wanted["Keys"].as_array_mut()?;
        if keys.len() > kept {
            let rest = keys.split_off(kept);
            let mut wanted = wanted.clone();
            wanted["Keys"] = Value::Array(rest);
            unprocessed.insert(table.clone(), wanted);
        }
    }
    (!unprocessed.is_empty()).then_some(Value::Object(unprocessed))
}

async fn pass_on(behind: &str, head: &str, body: &Value) -> Option<(String, Value)> {
    let mut server = TcpStream::connect(behind).await.ok()?;
    let body = body.to_string();
    let mut lines: Vec<&str> = head.split("\r\n").filter(|line| !line.is_empty()).collect();
    lines.retain(|line| {
        let line = line.to_ascii_lowercase();
        !["content-length:", "connection:", "host:"].iter().any(|name| line.starts_with(name))
    });
    let head = format!(
        "{}\r\nHost: {behind}\r\nContent-Length: {}\r\n\r\n",
        lines.join("\r\n"),
        body.len()
    );
    server.write_all((head + &body).as_bytes()).await.ok()?;
    let (head, body) = read_message(&mut server).await?;
    let status = head.lines().next()?.split_once(' ')?.1.to_owned();
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Head and body of a message that says how long it is.
async fn read_message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = header(&head, "content-length").parse().unwrap_or_default();
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

fn header(head: &str, name: &str) -> String {
    let values = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = values.filter(|(each, _)| each.eq_ignore_ascii_case(name));
    found.next().map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
