//! flywheel-embedded
