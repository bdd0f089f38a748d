//! The connection to DynamoDB.

use std::{fmt, time::Duration};

use aws_config::{
    BehaviorVersion, Region,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::{credentials::CredentialsProviderChain, region::RegionProviderChain},
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::{
    Client,
    config::{Credentials, SharedCredentialsProvider, SharedHttpClient},
};
use aws_smithy_http_client::{Builder, tls};
use flywheel_store::StoreTable;

use crate::send_once::SendOnce;

const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// The SDK's own default; a shorter timeout of the whole request shortens it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// Where DynamoDB is and how to speak to it.
#[derive(Clone)]
pub struct Options {
    /// The AWS region; else the one of the environment or the AWS profile. Instance metadata isn't
    /// asked for it.
    pub region: Option<String>,
    /// A URL in the service's place: a local emulator (`http://…`) or a VPC endpoint.
    pub endpoint: Option<String>,
    /// Put before each table's name, so that several installations share an account.
    pub table_prefix: String,
    /// The longest that a request may take, its repetitions included.
    pub timeout: Duration,
    /// Access key and secret key; else AWS' usual chain, asked at the first request. With an
    /// `http://` endpoint only the environment and the profile are asked, and nothing there means
    /// placeholders, which emulators accept.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("table_prefix", &self.table_prefix)
            .field("timeout", &self.timeout)
            .field("credentials", &self.credentials.as_ref().map(|_| "…"))
            .finish()
    }
}

/// DynamoDB as a home of tables.
#[derive(Clone)]
pub struct DynamoStore {
    /// For requests that may be repeated: reads, definitions, and transactions, which carry a
    /// token.
    pub(crate) client: Client,
    /// For single writes, which may not.
    pub(crate) writer: Client,
    /// For the tables' streams, a service of its own at the same endpoint where one is given.
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) table_prefix: String,
    /// Whether an endpoint stands in AWS' place.
    pub(crate) has_endpoint: bool,
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore")
            .field("table_prefix", &self.table_prefix)
            .finish_non_exhaustive()
    }
}

impl DynamoStore {
    /// A store by its options. Reads AWS' environment variables and profile files, and sends
    /// nothing.
    pub async fn connect(options: Options) -> Self {
        let plain_http = options.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
        let region = RegionProviderChain::first_try(options.region.map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(plain_http.then(|| Region::from_static("us-east-1")));
        let retries = RetryConfig::standard()
            .with_max_attempts(attempts(options.timeout))
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(options.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .build();
        let http = if plain_http {
            // It needs no root certificates, which a small container may lack.
            Builder::new().build_http()
        } else {
            Builder::new()
                .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                .build_https()
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .retry_config(retries)
            .timeout_config(timeouts)
            .http_client(http.clone());
        loader = match options.credentials {
            Some((access_key, secret_key)) => loader.credentials_provider(Credentials::new(
                access_key,
                secret_key,
                None,
                None,
                "configuration",
            )),
            None if plain_http => loader.credentials_provider(local_credentials(&http)),
            None => loader,
        };
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        if config.region().is_none() {
            tracing::warn!(
                "DynamoDB has no region: set it in the configuration, in AWS_REGION or in the AWS profile"
            );
        }
        let writes =
            aws_sdk_dynamodb::config::Builder::from(&config).retry_classifier(SendOnce).build();
        Self {
            client: Client::new(&config),
            writer: Client::from_conf(writes),
            streams: aws_sdk_dynamodbstreams::Client::new(&config),
            table_prefix: options.table_prefix,
            has_endpoint: options.endpoint.is_some(),
        }
    }

    /// The table's name in DynamoDB.
    pub(crate) fn table_name(&self, table: &StoreTable) -> String {
        format!("{}{}", self.table_prefix, table.physical_name)
    }
}

/// Attempts at a request, the first included: as many as their longest pauses leave time for, so
/// that what ends them is DynamoDB's last word (that it is throttling) and not the timeout.
fn attempts(timeout: Duration) -> u32 {
    let mut left = timeout.mul_f64(0.8);
    let mut pause = FIRST_BACKOFF;
    let mut attempts = 1;
    while pause <= left {
        left -= pause;
        pause = (pause * 2).min(LONGEST_BACKOFF);
        attempts += 1;
    }
    attempts
}

/// An emulator wants a signature and checks none; looking for instance metadata would only take its
/// time.
fn local_credentials(http: &SharedHttpClient) -> SharedCredentialsProvider {
    let profiles = ProviderConfig::without_region().with_http_client(http.clone());
    SharedCredentialsProvider::new(
        CredentialsProviderChain::first_try(
            "Environment",
            EnvironmentVariableCredentialsProvider::new(),
        )
        .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(&profiles).build())
        .or_else(
            "Placeholder",
            Credentials::new("flywheel", "flywheel", None, None, "placeholder"),
        ),
    )
}
