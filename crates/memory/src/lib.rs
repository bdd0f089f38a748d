//! flywheel-memory
