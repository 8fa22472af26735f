//! Plain Rust over arrays: every processor, and the 16-lane layout under test where there is no AVX-512.

use super::{Kernel, Simd};

/// `N` floats.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const N: usize>;

impl<const N: usize> Simd for Portable<N> {
    const LANES: usize = N;
    type Vector = [f32; N];

    #[inline(always)]
    unsafe fn zero() -> [f32; N] {
        [0.0; N]
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; N] {
        [value; N]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; N] {
        // SAFETY: the caller vouches for N floats; the read asks for no alignment.
        unsafe { from.cast::<[f32; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: [f32; N]) {
        // SAFETY: the caller vouches for N floats; the write asks for no alignment.
        unsafe { to.cast::<[f32; N]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; N], b: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; N], b: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; N], b: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn mul_add(a: [f32; N], b: [f32; N], c: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn relu(value: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| if value[i] < 0.0 { 0.0 } else { value[i] })
    }
    #[inline(always)]
    unsafe fn where_positive(gate: [f32; N], value: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| if gate[i] > 0.0 { value[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn max(other: [f32; N], value: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| if other[i] > value[i] { other[i] } else { value[i] })
    }
    #[inline(always)]
    unsafe fn where_equal(a: [f32; N], b: [f32; N], value: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| if a[i] == b[i] { value[i] } else { 0.0 })
    }
    #[inline(never)]
    unsafe fn call<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller vouches for the kernel's pointers; plain Rust runs on every processor.
        unsafe { kernel.run::<Self>() }
    }
}
