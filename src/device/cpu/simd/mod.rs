//! Vectors of f32 of the width that the processor offers. Kernels are written once, generic over [`Simd`], and compiled
//! once for every instruction set; [`InstructionSet::run`] picks one at run time.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::fmt;

/// A vector of [`Simd::LANES`] f32 and what kernels do with it. Implementations are proofs by type only: the methods
/// must run inside [`InstructionSet::run`], which enables the instructions.
///
/// # Safety
/// Every method requires that the processor has the instruction set; `load` and `store` that `LANES` floats lie at the
/// pointer, `transpose` that a block does at both (no alignment is asked for).
pub(crate) trait Simd: Copy + 'static {
    /// Floats in a vector: also the width of a channel block in memory.
    const LANES: usize;
    /// The vector.
    type Vector: Copy;
    unsafe fn zero() -> Self::Vector;
    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn store(to: *mut f32, value: Self::Vector);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `max(value, 0)`; not a number where `value` is none, so that a diverged network shows.
    unsafe fn relu(value: Self::Vector) -> Self::Vector;
    /// `value` where `gate > 0`, else 0.
    unsafe fn where_positive(gate: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The larger of two numbers; `value` where either is none.
    unsafe fn max(other: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// `value` where `a == b`, else 0.
    unsafe fn where_equal(a: Self::Vector, b: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// Writes the transpose of a block of [`BLOCK`] rows and columns; rows are `stride` floats apart.
    #[inline(always)]
    unsafe fn transpose((from, from_stride): (*const f32, usize), (to, to_stride): (*mut f32, usize)) {
        for row in 0..BLOCK {
            for column in 0..BLOCK {
                // SAFETY: the caller's.
                unsafe { *to.add(column * to_stride + row) = *from.add(row * from_stride + column) };
            }
        }
    }
    /// Runs a kernel as a function of its own, compiled once however many kernels use it.
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output;
}

/// Rows and columns that [`Simd::transpose`] takes.
pub(crate) const BLOCK: usize = 8;

/// A computation that can be compiled for every instruction set.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Does it. Must be `#[inline(always)]`, as everything it calls with `S`.
    ///
    /// # Safety
    /// The processor has the instruction set `S`, and whatever the kernel says of its pointers.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// AVX-512F: 16 floats.
    Avx512,
    /// AVX2 and FMA: 8 floats.
    Avx2,
    /// Plain Rust, 8 floats, left to the compiler's vectoriser.
    Portable,
    /// Plain Rust, 16 floats: the memory layout of AVX-512 on any processor, for tests.
    Portable16,
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstructionSet::Avx512 => "AVX-512",
            InstructionSet::Avx2 => "AVX2",
            InstructionSet::Portable => "portable",
            InstructionSet::Portable16 => "portable, 16 lanes",
        })
    }
}

impl InstructionSet {
    /// The fastest that this processor has.
    pub fn best() -> Self {
        [InstructionSet::Avx512, InstructionSet::Avx2].into_iter().find(|i| i.available()).unwrap_or(Self::Portable)
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            InstructionSet::Avx512 | InstructionSet::Avx2 => false,
            InstructionSet::Portable | InstructionSet::Portable16 => true,
        }
    }

    /// Floats in a vector.
    pub fn lanes(self) -> usize {
        match self {
            InstructionSet::Avx512 | InstructionSet::Portable16 => 16,
            InstructionSet::Avx2 | InstructionSet::Portable => 8,
        }
    }

    /// Runs a kernel compiled for this instruction set.
    ///
    /// # Safety
    /// The set is [`available`](Self::available), and whatever the kernel asks of its pointers.
    #[inline]
    pub(crate) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: the caller vouches for the instruction set and the pointers.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => avx512::run(kernel),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => avx2::run(kernel),
                InstructionSet::Portable16 => portable::Portable::<16>::call(kernel),
                _ => portable::Portable::<8>::call(kernel),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every method on vectors with signs, zeros and a NaN, lane by lane.
    struct Everything<'a>(&'a [f32; 16], &'a [f32; 16], &'a mut [[f32; 16]; 9]);

    impl Kernel for Everything<'_> {
        type Output = usize;
        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> usize {
            // SAFETY: 16 floats lie behind every pointer and LANES is at most 16.
            unsafe {
                let (a, b) = (S::load(self.0.as_ptr()), S::load(self.1.as_ptr()));
                let results = [
                    S::add(a, b),
                    S::sub(a, b),
                    S::mul(a, b),
                    S::mul_add(a, b, S::splat(3.0)),
                    S::relu(a),
                    S::where_positive(a, b),
                    S::zero(),
                    S::max(a, b),
                    S::where_equal(a, S::splat(7.0), b),
                ];
                for (to, value) in self.2.iter_mut().zip(results) {
                    S::store(to.as_mut_ptr(), value);
                }
                S::LANES
            }
        }
    }

    struct Transpose<'a>(&'a [f32], &'a mut [f32]);

    impl Kernel for Transpose<'_> {
        type Output = ();
        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            // SAFETY: the test's slices hold a block with these strides.
            unsafe { S::transpose((self.0.as_ptr(), 11), (self.1.as_mut_ptr(), 9)) }
        }
    }

    #[test]
    fn blocks_are_transposed_on_every_instruction_set() {
        let from: Vec<f32> = (0..11 * BLOCK).map(|i| i as f32).collect();
        for set in [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable, InstructionSet::Portable16]
        {
            if !set.available() {
                eprintln!("skipped: this processor has no {set}");
                continue;
            }
            let mut to = vec![-1.0; 9 * BLOCK];
            // SAFETY: the set is available.
            unsafe { set.run(Transpose(&from, &mut to)) };
            for (place, value) in to.into_iter().enumerate() {
                let (column, row) = (place / 9, place % 9);
                assert_eq!(value, if row < BLOCK { from[row * 11 + column] } else { -1.0 }, "{set} {place}");
            }
        }
    }

    #[test]
    fn vectors_do_what_scalars_do_on_every_instruction_set() {
        let mut a = [0.0f32; 16];
        let mut b = [0.0f32; 16];
        for i in 0..16 {
            a[i] = [1.5, -2.0, 0.0, -0.0, 7.0, f32::NAN, 1e30, -1e-30][i % 8];
            b[i] = i as f32 - 4.0;
        }
        for set in [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable, InstructionSet::Portable16]
        {
            if !set.available() {
                eprintln!("skipped: this processor has no {set}");
                continue;
            }
            let mut out = [[9.0f32; 16]; 9];
            // SAFETY: the set is available.
            let lanes = unsafe { set.run(Everything(&a, &b, &mut out)) };
            assert_eq!(lanes, set.lanes());
            // One rounding where the processor multiplies and adds in one instruction: lane 14 tells it from two.
            let fused = matches!(set, InstructionSet::Avx512 | InstructionSet::Avx2);
            for i in 0..lanes {
                let multiply_add = if fused { a[i].mul_add(b[i], 3.0) } else { a[i] * b[i] + 3.0 };
                let expected = [
                    a[i] + b[i],
                    a[i] - b[i],
                    a[i] * b[i],
                    multiply_add,
                    if a[i] < 0.0 { 0.0 } else { a[i] },
                    if a[i] > 0.0 { b[i] } else { 0.0 },
                    0.0,
                    if a[i] > b[i] { a[i] } else { b[i] },
                    if a[i] == 7.0 { b[i] } else { 0.0 },
                ];
                for (row, want) in out.iter().zip(expected) {
                    assert!(row[i] == want || (row[i].is_nan() && want.is_nan()), "{set} lane {i}: {} {want}", row[i]);
                }
            }
        }
    }
}
