//! Flywheel from outside: the program, real clients, real servers.

mod bad_input;
mod changed_results;
mod cli;
mod definitions;
mod drivers;
mod embedded;
mod explain;
mod failover;
mod gone;
mod limits;
mod login;
mod network;
mod outage;
mod pipelines;
mod pool;
mod protocol;
mod psql;
mod repeated;
mod replicas;
mod replication;
mod roles;
mod session_state;
mod sessions;
mod sharing;
mod suites;
mod tokio;
