//! NAS-Bench-101's cells as networks have the parameters that the benchmark counts.

use graphpnas_fast::net::{ImageShape, NasBench101Shape, Plan, VertexOperator, nasbench101};
use graphpnas_fast::space::nasbench101::{Cell101, Operator101, hash, prune};

fn published() -> NasBench101Shape {
    let image = ImageShape { channels: 3, height: 32, width: 32 };
    NasBench101Shape { image, channels: 128, stacks: 3, cells: 3, classes: 10 }
}

fn plan(cell: &Cell101) -> Plan {
    let operators: Vec<VertexOperator> = cell
        .operators()
        .iter()
        .filter_map(|operator| match operator {
            Operator101::Conv3x3 => Some(VertexOperator::Convolution3x3),
            Operator101::Conv1x1 => Some(VertexOperator::Convolution1x1),
            Operator101::MaxPool3x3 => Some(VertexOperator::MaxPool3x3),
            Operator101::Input | Operator101::Output => None,
        })
        .collect();
    nasbench101(cell.dag(), &operators, &published())
}

#[test]
fn published_cells_have_the_published_parameters() {
    // Adjacency, operators, hash and parameters as the benchmark's README gives them.
    let known = [
        (
            "0100110001000000010010000010000001000000010000000",
            "input,conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output",
            "00005c142e6f48ac74fdcf73e3439874",
            8_555_530,
        ),
        (
            "0111010000000100000010000100000000100000010000000",
            "input,conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output",
            "28cfc7874f6d200472e1a9dcd8650aa0",
            2_694_282,
        ),
    ];
    for (bits, operators, digest, parameters) in known {
        let cell = prune(&Cell101::from_flat(bits, operators.split(',')).unwrap()).unwrap();
        assert_eq!(hash(&cell).to_string(), digest);
        assert_eq!(plan(&cell).trained_parameters(), parameters, "{digest}");
    }
}
