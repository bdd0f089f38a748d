//! flywheel-sql
