//! DynamoDB.

use std::path::PathBuf;
use std::time::Duration;

use crate::Secret;

/// DynamoDB, AWS' own or one that speaks its protocol.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    /// The AWS region. Always there unless there is an endpoint.
    pub region: Option<String>,
    /// A URL in AWS' place.
    pub endpoint: Option<String>,
    /// Put before each table's name.
    pub table_prefix: String,
    /// The keys to sign with; else the AWS SDK's usual chain finds them.
    pub credentials: Option<Credentials>,
    /// The longest that a request may take, its repetitions included.
    pub timeout: Duration,
}

/// A pair of AWS keys.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: Secret,
}

/// A DynamoDB-compatible server in this process.
#[derive(Debug, Clone)]
pub struct EmbeddedDynamoDb {
    /// The folder of its data; else they are in memory.
    pub data: Option<PathBuf>,
}
