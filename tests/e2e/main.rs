//! Flywheel from outside: the program, real clients, real servers.

mod bad_input;
mod limits;
mod login;
mod outage;
mod pool;
mod suites;
mod tokio;
