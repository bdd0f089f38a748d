//! flywheel-config
