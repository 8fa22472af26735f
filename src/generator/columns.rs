//! Rows a few columns at a time, as arrays that stay in registers.
//!
//! The compiler's own vector loops take many columns a turn and leave what is over, all of a narrow row, to scalars.

/// Evaluates the body, with `$size` a constant, for blocks of columns: the widest of the sizes as often as it fits, then the
/// next. The last size must be 1.
macro_rules! for_columns {
    ($width:expr, [$($wide:literal),+], |$column:ident, $size:ident| $body:expr) => {{
        let mut $column = 0;
        $(
            while $width - $column >= $wide {
                const $size: usize = $wide;
                $body;
                $column += $wide;
            }
        )+
    }};
}
pub(super) use for_columns;

/// `N` elements of a row.
#[inline(always)]
pub(super) fn take<const N: usize>(row: &[f32], column: usize) -> [f32; N] {
    let mut values = [0.0; N];
    values.copy_from_slice(&row[column..column + N]);
    values
}

/// Writes `N` elements of a row.
#[inline(always)]
pub(super) fn put<const N: usize>(row: &mut [f32], column: usize, values: [f32; N]) {
    row[column..column + N].copy_from_slice(&values);
}

/// Adds to `N` elements of a row.
#[inline(always)]
pub(super) fn add<const N: usize>(row: &mut [f32], column: usize, values: [f32; N]) {
    let before: [f32; N] = take(row, column);
    put(row, column, each::<N>(|i| before[i] + values[i]));
}

/// The array of `f(0)`, `f(1)`, ...
#[inline(always)]
pub(super) fn each<const N: usize>(f: impl Fn(usize) -> f32) -> [f32; N] {
    let mut values = [0.0; N];
    for (i, value) in values.iter_mut().enumerate() {
        *value = f(i);
    }
    values
}
