//! flywheel-gateway
