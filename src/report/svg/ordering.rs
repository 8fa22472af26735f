//! The order of the vertices within the layers of a drawing: few crossings, found by barycentres.

/// Sweeps down and up.
const SWEEPS: usize = 16;

/// The vertices of every layer in an order with few crossings: layers are sorted by the mean place of their neighbours
/// above, then below, in turn; the best order seen is kept.
pub fn order(rows: &[Vec<usize>], above: &[Vec<usize>], below: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut rows = rows.to_vec();
    let mut place = vec![0.0; above.len()];
    rows.iter().for_each(|row| number(row, &mut place));
    let (mut best, mut fewest) = (rows.clone(), crossings(&rows, below, &place));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { above } else { below };
        for step in 1..rows.len() {
            let index = if down { step } else { rows.len() - 1 - step };
            let barycentre = |vertex: &usize| {
                let near = &neighbours[*vertex];
                if near.is_empty() {
                    place[*vertex]
                } else {
                    near.iter().map(|&v| place[v]).sum::<f64>() / near.len() as f64
                }
            };
            rows[index].sort_by(|a, b| barycentre(a).total_cmp(&barycentre(b)));
            number(&rows[index], &mut place);
        }
        let count = crossings(&rows, below, &place);
        if count < fewest {
            (best, fewest) = (rows.clone(), count);
        }
    }
    best
}

/// Writes every vertex's place in its layer, from -1 to 1, so that layers of different lengths compare.
fn number(row: &[usize], place: &mut [f64]) {
    for (index, &vertex) in row.iter().enumerate() {
        place[vertex] = (2 * index + 1) as f64 / row.len() as f64 - 1.0;
    }
}

/// Number of crossings between neighbouring layers: inversions among the edges' lower ends, sorted by upper end.
fn crossings(rows: &[Vec<usize>], below: &[Vec<usize>], place: &[f64]) -> usize {
    rows.iter()
        .map(|row| {
            let mut ends = Vec::new();
            for &vertex in row {
                let first = ends.len();
                ends.extend(below[vertex].iter().map(|&v| place[v]));
                ends[first..].sort_by(f64::total_cmp);
            }
            inversions(&mut ends)
        })
        .sum()
}

/// Pairs in descending order; sorts the values.
fn inversions(values: &mut [f64]) -> usize {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut count = inversions(left) + inversions(right);
    let mut passed = 0;
    for &value in &*right {
        while passed < left.len() && left[passed] <= value {
            passed += 1;
        }
        count += left.len() - passed;
    }
    values.sort_by(f64::total_cmp);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn inversions_are_counted_as_by_definition(values in prop::collection::vec(0u8..20, 0..60)) {
            let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let pairs = (0..values.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
            let expected = pairs.filter(|&(a, b)| values[a] > values[b]).count();
            prop_assert_eq!(inversions(&mut values), expected);
        }
    }

    #[test]
    fn a_crossed_ladder_is_uncrossed() {
        // 0 1 2 above, 3 4 5 below, joined crosswise: 0-5, 1-4, 2-3.
        let rows = vec![vec![0, 1, 2], vec![3, 4, 5]];
        let mut above = vec![vec![]; 6];
        let mut below = vec![vec![]; 6];
        for (a, b) in [(0, 5), (1, 4), (2, 3)] {
            below[a].push(b);
            above[b].push(a);
        }
        let mut place = vec![0.0; 6];
        rows.iter().for_each(|row| number(row, &mut place));
        assert_eq!(crossings(&rows, &below, &place), 3);
        let ordered = order(&rows, &above, &below);
        ordered.iter().for_each(|row| number(row, &mut place));
        assert_eq!(crossings(&ordered, &below, &place), 0);
    }
}
