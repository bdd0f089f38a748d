//! The HTTP side: `GET /metrics`, `GET /healthz` and `GET /readyz`, each over a connection of its
//! own.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flywheel_gateway::Gateway;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::collector::OfGateway;
use crate::operations::Operations;
use crate::process::Process;

/// How long a client may take for its request and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many clients at once; more wait until one has gone.
const MAX_CLIENTS: usize = 16;
/// How long a request's head may be: no less is possible.
const MAX_HEAD: usize = 8 * 1024;
/// OpenMetrics 1.0.0, as `prometheus_client::encoding::text` writes it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Tells over HTTP what a gateway is doing.
#[derive(Debug)]
pub struct Exporter {
    gateway: Gateway,
    registry: Registry,
}

impl Exporter {
    /// Of a gateway, and of what was measured of its stores.
    #[must_use]
    pub fn new(gateway: Gateway, stores: Vec<Arc<Operations>>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let of_gateway = OfGateway { gateway: gateway.clone(), stores };
        registry.register_collector(Box::new(of_gateway));
        Self { gateway, registry }
    }

    /// Serves for ever.
    pub async fn serve(self, listener: TcpListener) {
        let exporter = Arc::new(self);
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            let place = places.clone().acquire_owned().await;
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "can't accept a connection for metrics");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let exporter = exporter.clone();
            tokio::spawn(async move {
                let _place = place;
                match tokio::time::timeout(PATIENCE, exporter.connection(stream)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a request for metrics failed"),
                    Err(_) => tracing::debug!("a request for metrics took too long"),
                }
            });
        }
    }

    async fn connection(&self, stream: TcpStream) -> hyper::Result<()> {
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(self.answer(&request))
        });
        let mut http = http1::Builder::new();
        // One request is all that is asked; that way the time for a connection is that for a
        // request.
        http.keep_alive(false).max_buf_size(MAX_HEAD);
        http.serve_connection(TokioIo::new(stream), service).await
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        if path == "/metrics" {
            return self.metrics(request.headers());
        }
        if path == "/readyz" {
            return if self.gateway.is_ready() {
                plain(StatusCode::OK, "ready\n")
            } else {
                plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            };
        }
        if self.gateway.is_serving() {
            plain(StatusCode::OK, "serving\n")
        } else {
            plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let mut out = String::new();
        let (content_type, written) = if takes_open_metrics(headers) {
            (OPEN_METRICS, text::encode(&mut out, &self.registry))
        } else {
            (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut out, &self.registry))
        };
        match written {
            Ok(()) => response(StatusCode::OK, content_type, out),
            Err(fmt::Error) => {
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the figures can't be written\n")
            }
        }
    }
}

/// Whether the client takes OpenMetrics, as Prometheus has since 2.5. Others that say what they
/// take get Prometheus' older format.
fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let mut accepted =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if accepted.peek().is_none() {
        return true;
    }
    let mut takes_anything = false;
    let mut takes_text = false;
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|parameter| {
            matches!(parameter.strip_prefix("q=").map(str::parse::<f32>), Some(Ok(0.0)))
        });
        match name {
            _ if refused => {}
            "application/openmetrics-text" => return true,
            "text/plain" => takes_text = true,
            "*/*" | "application/*" => takes_anything = true,
            _ => {}
        }
    }
    takes_anything && !takes_text
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    response(status, PLAIN, body)
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_take() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        for (accept, expected) in [
            (None, true),
            (Some("*/*"), true),
            (Some(prometheus), true),
            (Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), false),
            (Some("text/plain"), false),
            (Some("text/html, application/xhtml+xml, */*;q=0.8"), true),
            (Some("application/openmetrics-text;q=0, text/plain"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().expect("a header"));
            }
            assert_eq!(takes_open_metrics(&headers), expected, "{accept:?}");
        }
    }
}
