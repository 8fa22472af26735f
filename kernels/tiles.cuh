// Blocks of 64 x 64 of a matrix product: strips of the operands in shared memory, and their product in f32 registers.
#pragma once
#include "common.cuh"

constexpr int BLOCK = 64;
constexpr int PRODUCT_THREADS = 128;
constexpr int STAGE_PITCH = BLOCK + 4;

// Which way the operands lie: forward A (rows, depth) and B (columns, depth), gradient of the input A (rows, depth) and B
// (depth, columns), gradient of the weight A (depth, rows) and B (depth, columns).
enum Form { FORWARD, INPUT, WEIGHT };

// Depth of a strip: 64 bytes of f32, 64 of 16-bit storage.
template <typename T> constexpr int STRIP = 64 / sizeof(T);

// A strip of an operand: `OUTER` rows of `INNER` contiguous numbers. 16-bit strips lie in shared memory as in the arena
// (ldmatrix transposes where need be); f32 strips always as (depth, block).
template <typename T, bool DEPTH_INNER> struct Strip {
  static constexpr int OUTER = DEPTH_INNER ? BLOCK : STRIP<T>;
  static constexpr int INNER = DEPTH_INNER ? STRIP<T> : BLOCK;
  static constexpr int PITCH = sizeof(T) == 4 ? STAGE_PITCH : INNER + 8;
  static constexpr int SIZE = sizeof(T) == 4 ? STRIP<T> * PITCH : OUTER * PITCH;
  static constexpr int N = 16 / sizeof(T);
  static constexpr int VECTORS = OUTER * INNER / N / PRODUCT_THREADS;
  uint4 vectors[VECTORS];

  // `first` and `end` of the matrix's rows, `column` and `columns` of its contiguous numbers.
  __device__ __forceinline__ void load(const T* matrix, uint32_t first, uint32_t end, uint32_t column, uint32_t columns,
                                       uint32_t leading) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      uint32_t number = threadIdx.x + i * PRODUCT_THREADS;
      uint32_t row = first + number / (INNER / N), at = column + number % (INNER / N) * N;
      vectors[i] = make_uint4(0, 0, 0, 0);
      if (row < end && at < columns)
        vectors[i] = *reinterpret_cast<const uint4*>(matrix + static_cast<uint64_t>(row) * leading + at);
    }
  }

  // The same of vectors that `at(which of the thread's, row of the strip, number in the row)` points to; null: zeros.
  template <typename At> __device__ __forceinline__ void gather(At at) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      uint32_t number = threadIdx.x + i * PRODUCT_THREADS;
      const T* from = at(i, number / (INNER / N), number % (INNER / N) * N);
      vectors[i] = make_uint4(0, 0, 0, 0);
      if (from != nullptr) vectors[i] = *reinterpret_cast<const uint4*>(from);
    }
  }

  __device__ __forceinline__ void put(T* shared) const {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      uint32_t number = threadIdx.x + i * PRODUCT_THREADS;
      uint32_t row = number / (INNER / N), at = number % (INNER / N) * N;
      if constexpr (sizeof(T) == 4 && DEPTH_INNER) {
        shared[(at + 0) * PITCH + row] = __uint_as_float(vectors[i].x);
        shared[(at + 1) * PITCH + row] = __uint_as_float(vectors[i].y);
        shared[(at + 2) * PITCH + row] = __uint_as_float(vectors[i].z);
        shared[(at + 3) * PITCH + row] = __uint_as_float(vectors[i].w);
      } else {
        *reinterpret_cast<uint4*>(shared + row * PITCH + at) = vectors[i];
      }
    }
  }
};

// Multiplies strips in shared memory; the accumulators are one thread's part of the block.
template <typename T, bool A_INNER, bool B_INNER> struct Multiplier;

// f32: a thread has 8 rows and 4 columns.
template <bool A_INNER, bool B_INNER> struct Multiplier<float, A_INNER, B_INNER> {
  float sum[8][4] = {};

  __device__ __forceinline__ void strip(const float* a, const float* b) {
    uint32_t row = threadIdx.x / 16 * 8, column = threadIdx.x % 16 * 4;
#pragma unroll
    for (int k = 0; k < STRIP<float>; k++) {
      float4 low = *reinterpret_cast<const float4*>(a + k * STAGE_PITCH + row);
      float4 high = *reinterpret_cast<const float4*>(a + k * STAGE_PITCH + row + 4);
      float4 right = *reinterpret_cast<const float4*>(b + k * STAGE_PITCH + column);
      float left[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int i = 0; i < 8; i++) {
        sum[i][0] = fmaf(left[i], right.x, sum[i][0]), sum[i][1] = fmaf(left[i], right.y, sum[i][1]);
        sum[i][2] = fmaf(left[i], right.z, sum[i][2]), sum[i][3] = fmaf(left[i], right.w, sum[i][3]);
      }
    }
  }

  __device__ __forceinline__ void stage(float* to) const {
    uint32_t row = threadIdx.x / 16 * 8, column = threadIdx.x % 16 * 4;
#pragma unroll
    for (int i = 0; i < 8; i++)
      *reinterpret_cast<float4*>(to + (row + i) * STAGE_PITCH + column) =
          make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
  }
};
