//! AVX-512F: 16 floats.

use super::{Kernel, Simd, avx2};
use std::arch::x86_64::*;

/// The instruction set as a type.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// Runs a kernel with AVX-512F enabled.
///
/// # Safety
/// The processor has it, and whatever the kernel asks of its pointers.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline(never)]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller vouches for both.
    unsafe { kernel.run::<Avx512>() }
}

// SAFETY of every method: the trait asks the caller for the instruction set and for valid pointers.
impl Simd for Avx512 {
    const LANES: usize = 16;
    type Vector = __m512;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(value: __m512) -> __m512 {
        // MAXPS returns its second operand where either is a NaN.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), value) }
    }
    #[inline(always)]
    unsafe fn where_positive(gate: __m512, value: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), value) }
    }
    #[inline(always)]
    unsafe fn max(other: __m512, value: __m512) -> __m512 {
        // MAXPS returns its second operand where either is a NaN.
        unsafe { _mm512_max_ps(other, value) }
    }
    #[inline(always)]
    unsafe fn where_equal(a: __m512, b: __m512, value: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b), value) }
    }
    #[inline(always)]
    unsafe fn transpose(from: (*const f32, usize), to: (*mut f32, usize)) {
        // SAFETY: the caller's; AVX-512 has all of AVX.
        unsafe { avx2::transpose(from, to) }
    }
    #[inline(always)]
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
        unsafe { run(kernel) }
    }
}
