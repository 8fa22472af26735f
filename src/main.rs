use clap::Parser;
#[derive(Parser)]
struct P {
    #[command(flatten)]
    a: graphpnas_fast::cli::profile::ProfileArgs,
}
fn main() {
    graphpnas_fast::cli::profile::run(&P::parse().a).unwrap()
}
