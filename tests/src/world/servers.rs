//! The servers that the environment names.

use std::path::PathBuf;

/// What `./test` has started.
#[derive(Debug, Clone)]
pub struct Servers {
    /// PostgreSQL, as a URL with a user that may create databases.
    pub postgres: String,
    /// Redis, as a URL.
    pub redis: Option<String>,
    /// DynamoDB's endpoints.
    pub dynamodb: Vec<String>,
    /// A Python with psycopg 3.
    pub python: Option<PathBuf>,
    /// A folder of Node.js modules with pg.
    pub node_path: Option<PathBuf>,
    /// The compiled script for lib/pq.
    pub go: Option<PathBuf>,
    /// A class path with the compiled script for pgJDBC.
    pub java: Option<String>,
}

impl Servers {
    /// Those that `./test` has started.
    ///
    /// # Panics
    /// One is missing: a test that tests nothing must not pass.
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            postgres: variable("POSTGRES"),
            redis: Some(variable("REDIS")),
            dynamodb: variable("DYNAMODB")
                .split(',')
                .filter(|endpoint| !endpoint.is_empty())
                .map(str::to_owned)
                .collect(),
            python: Some(PathBuf::from(variable("PYTHON"))),
            node_path: Some(PathBuf::from(variable("NODE_PATH"))),
            go: Some(PathBuf::from(variable("GO"))),
            java: Some(variable("JAVA")),
        })
    }
}

fn variable(name: &str) -> String {
    let variable = format!("FLYWHEEL_TEST_{name}");
    let value = std::env::var(&variable).unwrap_or_default();
    assert!(!value.is_empty(), "{variable} isn't set: ./test starts the servers and sets it");
    value
}
