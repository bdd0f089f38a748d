//! flywheel-tests
