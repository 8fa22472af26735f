// Matrix products of blocks on tensor cores, and what becomes of a block's result.
#pragma once
#include "tiles.cuh"

// Four 8x8 matrices of 16-bit numbers, one row address a lane.
template <bool TRANSPOSED> __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (TRANSPOSED)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// d (16, 8) += a (16, 16) * b (16, 8).
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __half) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __nv_bfloat16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16-bit storage: a warp has 32 x 32, two fragments of 16 rows by four of 8 columns.
template <typename T, bool A_INNER, bool B_INNER> struct Multiplier {
  float sum[2][4][4] = {};

  __device__ __forceinline__ void strip(const T* a, const T* b) {
    constexpr int A_PITCH = Strip<T, A_INNER>::PITCH, B_PITCH = Strip<T, B_INNER>::PITCH;
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    uint32_t low = lane & 7, middle = (lane >> 3) & 1, high = lane >> 4;
#pragma unroll
    for (int k = 0; k < STRIP<T>; k += 16) {
      uint32_t left[2][4], right[2][4];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        uint32_t row = (warp / 2) * 32 + i * 16, column = (warp % 2) * 32 + i * 16;
        if constexpr (A_INNER)
          load_matrices<false>(left[i], a + (row + low + middle * 8) * A_PITCH + k + high * 8);
        else
          load_matrices<true>(left[i], a + (k + low + high * 8) * A_PITCH + row + middle * 8);
        if constexpr (B_INNER)
          load_matrices<false>(right[i], b + (column + low + high * 8) * B_PITCH + k + middle * 8);
        else
          load_matrices<true>(right[i], b + (k + low + middle * 8) * B_PITCH + column + high * 8);
      }
#pragma unroll
      for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) multiply(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1], T());
      }
    }
  }

  __device__ __forceinline__ void stage(float* to) const {
    uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    uint32_t row = (warp / 2) * 32 + lane / 4, column = (warp % 2) * 32 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float* at = to + (row + i * 16) * STAGE_PITCH + column + j * 8;
        *reinterpret_cast<float2*>(at) = make_float2(sum[i][j][0], sum[i][j][1]);
        *reinterpret_cast<float2*>(at + 8 * STAGE_PITCH) = make_float2(sum[i][j][2], sum[i][j][3]);
      }
    }
  }
};

// The moments of the block's columns, each by two threads that take 32 rows.
template <typename T>
__device__ __forceinline__ void write_moments(const float* stage, float (*halves)[BLOCK], float* to, uint32_t rows,
                                              uint32_t columns, uint32_t first_column) {
  uint32_t column = threadIdx.x % BLOCK, half = threadIdx.x / BLOCK;
  uint32_t first = half * (BLOCK / 2), end = min(first + BLOCK / 2, rows);
  float sum = 0.f;
  for (uint32_t row = first; row < end; row++) sum += rounded(stage[row * STAGE_PITCH + column], T());
  halves[half][column] = sum;
  __syncthreads();
  sum = halves[0][column] + halves[1][column];
  float mean = sum / static_cast<float>(rows), deviations = 0.f;
  __syncthreads();
  for (uint32_t row = first; row < end; row++) {
    float deviation = rounded(stage[row * STAGE_PITCH + column], T()) - mean;
    deviations = fmaf(deviation, deviation, deviations);
  }
  halves[half][column] = deviations;
  __syncthreads();
  if (half == 0 && first_column + column < columns) {
    to[first_column + column] = sum;
    to[columns + first_column + column] = halves[0][column] + halves[1][column];
  }
}

// Copies the block's valid part to C (rows, columns).
template <typename C>
__device__ __forceinline__ void write_block(const float* stage, C* c, uint32_t rows, uint32_t columns, uint32_t row,
                                            uint32_t column) {
  constexpr int N = Vector<C>::N;
  for (uint32_t number = threadIdx.x; number < BLOCK * BLOCK / N; number += PRODUCT_THREADS) {
    uint32_t y = number / (BLOCK / N), x = number % (BLOCK / N) * N;
    if (row + y < rows && column + x < columns)
      store(c + static_cast<uint64_t>(row + y) * columns + column + x, load_floats<C>(stage + y * STAGE_PITCH + x));
  }
}
