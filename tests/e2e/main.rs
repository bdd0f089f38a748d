//! Flywheel from outside: the program, real clients, real servers.

mod suites;
