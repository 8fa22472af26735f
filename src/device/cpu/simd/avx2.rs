//! AVX2 and FMA: 8 floats.

use super::{BLOCK, Kernel, Simd};
use std::arch::x86_64::*;

/// The instruction set as a type.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// Runs a kernel with AVX2 and FMA enabled.
///
/// # Safety
/// The processor has both, and whatever the kernel asks of its pointers.
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller vouches for both.
    unsafe { kernel.run::<Avx2>() }
}

// SAFETY of every method: the trait asks the caller for the instruction set and for valid pointers.
impl Simd for Avx2 {
    const LANES: usize = 8;
    type Vector = __m256;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(value: __m256) -> __m256 {
        // MAXPS returns its second operand where either is a NaN.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), value) }
    }
    #[inline(always)]
    unsafe fn where_positive(gate: __m256, value: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), value) }
    }
    #[inline(always)]
    unsafe fn max(other: __m256, value: __m256) -> __m256 {
        // MAXPS returns its second operand where either is a NaN.
        unsafe { _mm256_max_ps(other, value) }
    }
    #[inline(always)]
    unsafe fn where_equal(a: __m256, b: __m256, value: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b), value) }
    }
    #[inline(always)]
    unsafe fn transpose(from: (*const f32, usize), to: (*mut f32, usize)) {
        // SAFETY: the caller's.
        unsafe { transpose(from, to) }
    }
    #[inline(always)]
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
        unsafe { run(kernel) }
    }
}

/// [`Simd::transpose`] with AVX: pairs of rows, then pairs of pairs, then the halves.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn transpose((from, from_stride): (*const f32, usize), (to, to_stride): (*mut f32, usize)) {
    // SAFETY: the caller's.
    unsafe {
        let row = |number: usize| _mm256_loadu_ps(from.add(number * from_stride));
        let mut pairs = [_mm256_setzero_ps(); BLOCK];
        for pair in 0..BLOCK / 2 {
            let (a, b) = (row(2 * pair), row(2 * pair + 1));
            pairs[2 * pair] = _mm256_unpacklo_ps(a, b);
            pairs[2 * pair + 1] = _mm256_unpackhi_ps(a, b);
        }
        for half in 0..2 {
            let [low, high] = [4 * half, 4 * half + 2].map(|at| [pairs[at], pairs[at + 1]]);
            for side in 0..2 {
                pairs[4 * half + 2 * side] = _mm256_shuffle_ps::<0x44>(low[side], high[side]);
                pairs[4 * half + 2 * side + 1] = _mm256_shuffle_ps::<0xEE>(low[side], high[side]);
            }
        }
        for column in 0..BLOCK / 2 {
            let (upper, lower) = (pairs[column], pairs[column + 4]);
            _mm256_storeu_ps(to.add(column * to_stride), _mm256_permute2f128_ps::<0x20>(upper, lower));
            _mm256_storeu_ps(to.add((column + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(upper, lower));
        }
    }
}
