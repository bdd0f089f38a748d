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
    /// `None`, with a note, when there is no PostgreSQL to test with.
    pub fn from_environment() -> Option<Self> {
        let Some(postgres) = variable("POSTGRES") else {
            eprintln!("FLYWHEEL_TEST_POSTGRES isn't set, so nothing is tested here: ./test starts the servers and sets it");
            return None;
        };
        Some(Self {
            postgres,
            redis: variable("REDIS"),
            dynamodb: variable("DYNAMODB")
                .unwrap_or_default()
                .split(',')
                .filter(|endpoint| !endpoint.is_empty())
                .map(str::to_owned)
                .collect(),
            python: variable("PYTHON").map(PathBuf::from),
            node_path: variable("NODE_PATH").map(PathBuf::from),
            go: variable("GO").map(PathBuf::from),
            java: variable("JAVA"),
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("FLYWHEEL_TEST_{name}"))
        .ok()
        .filter(|value| !value.is_empty())
}
