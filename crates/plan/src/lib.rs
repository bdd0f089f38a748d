//! flywheel-plan
