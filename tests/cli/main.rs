//! The command line as its users meet it: the real binary on small runs of synthetic images.

mod bad_input;
mod commands;
mod compare;
mod dry_run;
mod interrupt;
mod networks;
mod parsers;
mod resume;
mod samples;
mod support;
mod tables;
mod whole_run;
