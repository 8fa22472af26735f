//! What a refit minimises (method, section 3).

use super::config::{GranConfig, LossScale};
use super::gran::Score;

/// Share of the operators' term in a graph's loss.
const OPERATOR_SHARE: f64 = 0.5;
/// Share of the edge operators' term.
const EDGE_OPERATOR_SHARE: f64 = 0.125;
/// Keeps the logarithm of a negative weight's loss finite.
const SMALLEST: f64 = 1e-6;

/// A graph's loss is minus the sum over its rows of these factors times the log-probabilities of the row's decisions. The
/// row counts where its edges have operators.
pub(super) fn factors(config: &GranConfig, row: u128) -> Score {
    let nodes = config.nodes as f64;
    match config.loss {
        LossScale::Mean => Score {
            row: 2.0 / (nodes * (nodes + 1.0)),
            operator: OPERATOR_SHARE / nodes,
            edge_operators: EDGE_OPERATOR_SHARE / f64::from(row.count_ones().max(1)),
        },
        LossScale::Sum => Score { row: 1.0, operator: 1.0, edge_operators: 1.0 },
    }
}

/// A loss and its derivative by the graph's l.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weighted {
    pub loss: f64,
    pub slope: f64,
}

/// `rho l` for a positive weight, `rho log(1 - exp(-l) + 1e-6)` else: a bad graph is pushed away, less and less as it
/// becomes improbable.
pub(super) fn weighted(rho: f64, l: f64) -> Weighted {
    if rho > 0.0 {
        return Weighted { loss: rho * l, slope: rho };
    }
    let likelihood = (-l).exp();
    let rest = 1.0 - likelihood + SMALLEST;
    Weighted { loss: rho * rest.ln(), slope: rho * likelihood / rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_central_differences() {
        for rho in [1.0, 0.3, 0.0, -0.2, -1.5] {
            for l in [0.01, 0.4, 2.0, 9.0] {
                let h = 1e-6;
                let slope = (weighted(rho, l + h).loss - weighted(rho, l - h).loss) / (2.0 * h);
                assert!((weighted(rho, l).slope - slope).abs() <= 1e-6 * (1.0 + slope.abs()), "rho {rho}, l {l}");
            }
        }
        assert!(weighted(-1.0, 0.0).loss.is_finite() && weighted(-1.0, 0.0).slope.is_finite());
    }
}
