//! flywheel-redis
