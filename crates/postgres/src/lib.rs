//! flywheel-postgres
