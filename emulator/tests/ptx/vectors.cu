// Warp-wide instructions, one a kernel: inputs and outputs are arrays of one word a lane unless it says otherwise.
#include <stdint.h>
#define KERNEL extern "C" __global__ void
#define ALL 0xffffffffu

KERNEL shuffle_up(const int* x, int* y, int delta) { y[threadIdx.x] = __shfl_up_sync(ALL, x[threadIdx.x], delta, 8); }
KERNEL shuffle_down(const int* x, int* y, int delta) { y[threadIdx.x] = __shfl_down_sync(ALL, x[threadIdx.x], delta, 16); }
KERNEL shuffle_xor(const int* x, int* y, int delta) { y[threadIdx.x] = __shfl_xor_sync(ALL, x[threadIdx.x], delta); }
KERNEL shuffle_index(const int* x, int* y, int delta) { y[threadIdx.x] = __shfl_sync(ALL, x[threadIdx.x], threadIdx.x * delta, 4); }

// All four modes, each within segments of its own width.
KERNEL shuffle_modes(int* y) {
  int t = threadIdx.x;
  y[t] = __shfl_up_sync(ALL, t, 3, 2) + __shfl_down_sync(ALL, t, 3, 4) + __shfl_xor_sync(ALL, t, 3, 8) + __shfl_sync(ALL, t, 3, 16);
}

// y[0..32] ballot, y[32..64] all, any, by halves of the warp.
KERNEL votes(const int* x, unsigned* y) {
  unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
  bool v = x[threadIdx.x] > 10;
  if (threadIdx.x < 16) y[threadIdx.x] = __ballot_sync(mask, v), y[threadIdx.x + 32] = __all_sync(mask, v) * 2 + __any_sync(mask, v);
  else y[threadIdx.x] = __ballot_sync(mask, v), y[threadIdx.x + 32] = __all_sync(mask, v) * 2 + __any_sync(mask, v);
}

KERNEL matches(const int* x, unsigned* y) {
  int all;
  y[threadIdx.x] = __match_any_sync(ALL, x[threadIdx.x]);
  y[threadIdx.x + 32] = __match_all_sync(ALL, x[threadIdx.x], &all);
  y[threadIdx.x + 64] = all;
}

// Three reductions, then the block's barrier reductions.
KERNEL reductions(const int* x, int* y) {
  int v = x[threadIdx.x];
  y[threadIdx.x] = __reduce_add_sync(ALL, v);
  y[threadIdx.x + 32] = __reduce_min_sync(ALL, v);
  y[threadIdx.x + 64] = (int)__reduce_xor_sync(ALL, (unsigned)v);
  y[threadIdx.x + 96] = __syncthreads_count(v > 5) * 4 + (__syncthreads_and(v > 5) != 0) * 2 + (__syncthreads_or(v > 5) != 0);
}

// Lanes part by three ways and meet again; a ballot of all tells whether they did.
KERNEL reconverge(const int* x, unsigned* y) {
  int v = x[threadIdx.x];
  for (int i = 0; i < (int)(threadIdx.x % 5); i++) v = v * 3 + 1;
  switch (threadIdx.x % 3) { case 0: v += 7; break; case 1: v ^= 21; break; default: v = -v; }
  y[threadIdx.x] = __ballot_sync(ALL, v & 1);
  y[threadIdx.x + 32] = v;
}

// Each lane takes a lock in turn and adds to an unguarded sum.
KERNEL spin_lock(int* lock, volatile int* sum) {
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      *sum = *sum + 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

// Four 8x8 matrices of 16-bit elements, row by row, as ldmatrix spreads them.
template <bool T> __device__ void matrices(const uint4* x, uint4* y) {
  __shared__ uint4 s[32];
  s[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  uint32_t at = (uint32_t)__cvta_generic_to_shared(&s[threadIdx.x]);
  uint4 v;
  if (T) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(at));
  y[threadIdx.x] = v;
}
KERNEL load_matrix(const uint4* x, uint4* y) { matrices<false>(x, y); }
KERNEL load_matrix_transposed(const uint4* x, uint4* y) { matrices<true>(x, y); }

// Fragments as they come: A, B and C lane by lane.
#define MMA16(name, type)                                                                                                     \
  KERNEL name(const uint4* a, const uint2* b, const float4* c, float4* d) {                                                    \
    uint4 x = a[threadIdx.x]; uint2 y = b[threadIdx.x]; float4 z = c[threadIdx.x];                                             \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};" \
                 : "+f"(z.x), "+f"(z.y), "+f"(z.z), "+f"(z.w) : "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w), "r"(y.x), "r"(y.y));   \
    d[threadIdx.x] = z;                                                                                                        \
  }
MMA16(mma_f16, "f16")
MMA16(mma_bf16, "bf16")
KERNEL mma_tf32(const uint4* a, const uint2* b, const float4* c, float4* d) {
  uint4 x = a[threadIdx.x]; uint2 y = b[threadIdx.x]; float4 z = c[threadIdx.x];
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(z.x), "+f"(z.y), "+f"(z.z), "+f"(z.w) : "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w), "r"(y.x), "r"(y.y));
  d[threadIdx.x] = z;
}

// A struct by value, indexed at run time: pointers and lengths of four rows.
struct Rows { const int* row[4]; int length[4]; };
KERNEL by_value(const __grid_constant__ Rows rows, int* y) {
  int r = blockIdx.x, sum = 0;
  for (int i = 0; i < rows.length[r]; i++) sum += rows.row[r][i];
  y[r] = sum;
}

__constant__ int table[4] = {10, 20, 30, 40};
__device__ int counter = 5;
KERNEL variables(int* y) {
  y[threadIdx.x] = table[threadIdx.x & 3] + atomicAdd(&counter, 1);
}

// Copies the first n of 64 words, zeros after them.
KERNEL copy_with_zeros(const float* x, float* y, int n) {
  __shared__ __align__(16) float s[64];
  uint32_t to = (uint32_t)__cvta_generic_to_shared(&s[4 * threadIdx.x]);
  int left = min(max(n - 4 * (int)threadIdx.x, 0), 4) * 4;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(x + 4 * threadIdx.x), "r"(left) : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  for (int i = 0; i < 4; i++) y[4 * threadIdx.x + i] = s[4 * threadIdx.x + i];
}
