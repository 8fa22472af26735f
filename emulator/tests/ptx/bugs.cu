// Kernels with one seeded bug each: compiled with -DBUG to bugs.ptx, without it to fixed.ptx. See compile.sh.
#include <stdint.h>

#ifdef BUG
#define SEED(wrong, right) wrong
#else
#define SEED(wrong, right) right
#endif

#define KERNEL extern "C" __global__ void

// Doubles n floats.
KERNEL wrong_index(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (SEED(i <= n, i < n)) x[i] = 2.f;
}

// y_i = x_i + x_{i+1}, the last alone.
KERNEL over_read(const float* x, float* y, int n) {
  int i = threadIdx.x;
  if (i < n) y[i] = x[i] + (SEED(i < n, i + 1 < n) ? x[i + 1] : 0.f);
}

// Reads through a pointer that was never set.
KERNEL unallocated(const float* x, float* y) {
  const float* p = SEED((const float*)16, x);
  y[threadIdx.x] = p[threadIdx.x];
}

// Sums pairs of float4; the buggy one starts one float too late.
KERNEL misaligned_vector(const float* x, float* y) {
  float4 v = *reinterpret_cast<const float4*>(x + SEED(1, 0) + 4 * threadIdx.x);
  y[threadIdx.x] = v.x + v.y + v.z + v.w;
}

// Reverses a block.
KERNEL missing_barrier_before_read(float* x) {
  __shared__ float s[128];
  s[threadIdx.x] = x[threadIdx.x];
  SEED(, __syncthreads());
  x[threadIdx.x] = s[127 - threadIdx.x];
}

// Reverses two tiles through one buffer.
KERNEL missing_barrier_after_read(float* x) {
  __shared__ float s[128];
  for (int tile = 0; tile < 2; tile++) {
    s[threadIdx.x] = x[128 * tile + threadIdx.x];
    __syncthreads();
    x[128 * tile + threadIdx.x] = s[127 - threadIdx.x];
    SEED(, __syncthreads());
  }
}

// Exchanges values within each warp through shared memory.
KERNEL missing_warp_barrier(float* x) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  SEED(, __syncwarp());
  x[threadIdx.x] = s[threadIdx.x ^ 1];
}

// Double-buffered copy: x_i summed over two stages.
KERNEL early_wait(const float* x, float* y) {
  __shared__ __align__(16) float s[2][128];
  for (int stage = 0; stage < 2; stage++) {
    uint32_t to = (uint32_t)__cvta_generic_to_shared(&s[stage][4 * threadIdx.x]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(x + 128 * stage + 4 * threadIdx.x) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  float sum = 0.f;
  asm volatile("cp.async.wait_group 1;" ::: "memory");
  __syncthreads();
  sum += s[0][4 * threadIdx.x];
  asm volatile("cp.async.wait_group %0;" ::"n"(SEED(1, 0)) : "memory");
  __syncthreads();
  y[threadIdx.x] = sum + s[1][4 * threadIdx.x];
}

// Half of a warp meets a barrier of its own.
KERNEL divergent_barrier(float* x) {
  if (SEED(threadIdx.x < 16, blockIdx.x == 0)) {
    x[threadIdx.x] = 1.f;
    __syncthreads();
  } else {
    x[threadIdx.x] = 2.f;
    __syncthreads();
    x[threadIdx.x] += 1.f;
  }
}

// Sums a block of 64 by warps; the buggy one reads sums of warps that do not exist.
KERNEL uninitialised_shared(const float* x, float* y) {
  __shared__ float s[32];
  s[threadIdx.x / 32] = 0.f;
  __syncthreads();
  if (threadIdx.x % 32 == 0) s[threadIdx.x / 32] = x[threadIdx.x];
  __syncthreads();
  float sum = 0.f;
  for (int i = 0; i < SEED(3, 2); i++) sum += s[i];
  if (threadIdx.x == 0) *y = sum;
}

// Copies what the host wrote; the buggy one goes beyond it.
KERNEL uninitialised_global(const float* x, float* y, int n) {
  for (int i = threadIdx.x; i < SEED(n + 1, n); i += blockDim.x) y[i] = x[i];
}

// Adds to a sum that was (or was not) set to zero.
KERNEL missing_zeroing(const float* x, float* sum) {
  if (SEED(false, threadIdx.x == 0)) *sum = 0.f;
  __syncthreads();
  atomicAdd(sum, x[threadIdx.x]);
}

// Sum of a warp by butterflies.
KERNEL short_warp_sum(const float* x, float* y) {
  float v = x[threadIdx.x];
  for (int m = 16; m > SEED(1, 0); m >>= 1) v += __shfl_xor_sync(0xffffffffu, v, m);
  if (threadIdx.x == 0) *y = v;
}

// One m16n8k16 product of f16 matrices, A by rows and B by columns.
KERNEL swapped_operands(const uint32_t* A, const uint32_t* B, float* D) {
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t a0 = A[g * 8 + t], a1 = A[(g + 8) * 8 + t], a2 = A[g * 8 + t + 4], a3 = A[(g + 8) * 8 + t + 4];
  uint32_t b0 = B[g * 8 + t], b1 = B[g * 8 + t + 4];
  float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
               : "r"(a0), "r"(SEED(a2, a1)), "r"(SEED(a1, a2)), "r"(a3), "r"(b0), "r"(b1));
  D[g * 8 + 2 * t] = d0, D[g * 8 + 2 * t + 1] = d1, D[(g + 8) * 8 + 2 * t] = d2, D[(g + 8) * 8 + 2 * t + 1] = d3;
}

// One warp waits for lanes that wait at the block's barrier.
KERNEL deadlock(float* x) {
  if (SEED(threadIdx.x < 16, threadIdx.x < 64)) {
    __syncwarp();
    x[threadIdx.x] = 1.f;
  }
  __syncthreads();
}

// All threads write their index to one place.
KERNEL write_race(int* x) {
  __shared__ int s;
  if (SEED(true, threadIdx.x == 5)) s = threadIdx.x;
  __syncthreads();
  x[threadIdx.x] = s;
}

// The lower half of a warp shuffles with the upper, which has left.
KERNEL shuffle_from_nobody(float* x) {
  if (SEED(threadIdx.x >= 16, threadIdx.x >= 32)) return;
  x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x[threadIdx.x], 16);
}

// Writes past the end of a shared array.
KERNEL shared_out_of_bounds(float* x) {
  __shared__ float s[32];
  s[threadIdx.x + SEED(1, 0)] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[threadIdx.x];
}

// An array indexed at run time lies in local memory.
KERNEL local_memory(float* x, int k) {
#ifdef BUG
  float t[16];
  for (int i = 0; i < 16; i++) t[i] = x[i] * i;
  x[threadIdx.x] = t[k];
#else
  x[threadIdx.x] = x[k] * k;
#endif
}

// Counts down; the buggy one never arrives.
KERNEL endless(volatile int* x) {
  int n = 8;
  while (n != 0) { *x = n; n -= SEED(0, 1); }
}

// An assertion that holds, or not.
KERNEL trapped(int* x) {
  if (SEED(threadIdx.x == 3, threadIdx.x > 64)) __trap();
  x[threadIdx.x] = 1;
}

// Writes into the gap between two buffers of an arena.
KERNEL into_the_gap(float* arena, int n) { arena[threadIdx.x + SEED(1, 0) * n] = 1.f; }
