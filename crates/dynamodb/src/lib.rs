//! flywheel-dynamodb
