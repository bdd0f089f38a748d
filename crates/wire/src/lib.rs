//! flywheel-wire
