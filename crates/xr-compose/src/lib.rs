//! What is compose's own: whose project it is, what a stack that compose brought up has, its networks and volumes, and the health of
//! its containers.

pub mod adopt;
pub mod health;
pub mod networks;
pub mod ownership;
pub mod volume_changes;
pub mod volumes;
pub mod watch;
