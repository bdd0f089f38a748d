//! Flywheel from outside: the program, real clients, real servers.

mod bad_input;
mod cli;
mod embedded;
mod explain;
mod limits;
mod login;
mod node;
mod outage;
mod pool;
mod psql;
mod psycopg;
mod suites;
mod tokio;
