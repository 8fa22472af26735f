//! GraphPNAS: learn a distribution of good neural architectures with a graph generator.
//!
//! Data flows one way: [`graph`] knows nothing above it; [`space`] and [`net`] know graphs; [`device`] knows plans, not
//! architectures; [`table`] knows architectures that others trained; [`oracle`] joins space, net and device; [`search`] joins all; [`cli`] alone prints and parses arguments.

pub mod cli;
pub mod compare;
pub mod config;
pub mod data;
pub mod device;
pub mod generator;
pub mod graph;
pub mod net;
pub mod oracle;
pub mod random;
pub mod report;
pub mod search;
pub mod space;
pub mod store;
pub mod table;
