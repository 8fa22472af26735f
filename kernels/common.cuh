// What the kernels share: storage types, 128-bit vectors, the mapping of threads to channels, sums over a block.
//
// Layout. Values are NHWC: (images, height, width, channels), channels padded with zeros to a multiple of 8, so that every
// pixel starts on 16 bytes in 16-bit storage and on 32 bytes in f32. "Row" is a pixel of an image; a value has
// images * height * width rows. Offsets in descriptors are in elements of the arena they point into.
//
// A launch is grouped: it covers tasks of many candidates. Block b works on tile items[b].tile of task items[b].task.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

constexpr int WARP = 32;
constexpr int THREADS = 256;   // of every kernel but the matrix products
constexpr int SLICE = 32;      // channels a block works on, where channels are independent
constexpr uint64_t NONE = ~0ull;  // no offset
constexpr unsigned ALL_LANES = 0xffffffffu;

// Block -> (task, tile).
struct Item {
  uint32_t task;
  uint32_t tile;
};

// One input of a gather: where the value lies in the arena of values, and its (2, channels) scales and shifts in that of floats.
struct Edge {
  uint64_t value;
  uint64_t coefficients;
};

// What changes from step to step. On the device, so that a captured graph can be replayed.
struct Settings {
  float learning_rate;
  float momentum;
  float weight_decay;
  float label_smoothing;
  float loss_scale;     // of all gradients before the optimiser
  float gradient_clip;  // longest gradient of a network; 0: none is clipped
  uint32_t nesterov;    // whether the momentum is Nesterov's
  uint32_t reserved;
};

__device__ __forceinline__ uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// f32 numbers in registers, as many as 16 bytes of storage hold.
template <typename T> struct Vector {
  static constexpr int N = 16 / sizeof(T);
  float v[N];

  __device__ __forceinline__ static Vector filled(float value) {
    Vector r;
#pragma unroll
    for (int i = 0; i < N; i++) r.v[i] = value;
    return r;
  }
};

__device__ __forceinline__ float rounded(float x, float) { return x; }
__device__ __forceinline__ float rounded(float x, __half) { return __half2float(__float2half_rn(x)); }
__device__ __forceinline__ float rounded(float x, __nv_bfloat16) { return __bfloat162float(__float2bfloat16_rn(x)); }

// One packed pair of 16-bit numbers.
__device__ __forceinline__ float2 unpack(uint32_t bits, __half) {
  __half2 pair;
  *reinterpret_cast<uint32_t*>(&pair) = bits;
  return __half22float2(pair);
}
__device__ __forceinline__ float2 unpack(uint32_t bits, __nv_bfloat16) {
  return make_float2(__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u));
}
__device__ __forceinline__ uint32_t pack(float low, float high, __half) {
  __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<uint32_t*>(&pair);
}
__device__ __forceinline__ uint32_t pack(float low, float high, __nv_bfloat16) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<uint32_t*>(&pair);
}

__device__ __forceinline__ Vector<float> load(const float* from) {
  float4 x = *reinterpret_cast<const float4*>(from);
  return {{x.x, x.y, x.z, x.w}};
}
template <typename T> __device__ __forceinline__ Vector<T> load(const T* from) {
  uint4 x = *reinterpret_cast<const uint4*>(from);
  float2 a = unpack(x.x, T()), b = unpack(x.y, T()), c = unpack(x.z, T()), d = unpack(x.w, T());
  return {{a.x, a.y, b.x, b.y, c.x, c.y, d.x, d.y}};
}
// Stores to global memory in one instruction: the compiler splits a store of a vector type where it cannot see the pointer's
// origin.
__device__ __forceinline__ void store_words(void* to, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};\n" ::"l"(__cvta_generic_to_global(to)), "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
__device__ __forceinline__ void store_words(void* to, uint32_t a, uint32_t b) {
  asm volatile("st.global.v2.u32 [%0], {%1, %2};\n" ::"l"(__cvta_generic_to_global(to)), "r"(a), "r"(b) : "memory");
}
__device__ __forceinline__ uint32_t bits(float x) { return __float_as_uint(x); }

__device__ __forceinline__ void store(float* to, const Vector<float>& x) {
  store_words(to, bits(x.v[0]), bits(x.v[1]), bits(x.v[2]), bits(x.v[3]));
}
template <typename T> __device__ __forceinline__ void store(T* to, const Vector<T>& x) {
  store_words(to, pack(x.v[0], x.v[1], T()), pack(x.v[2], x.v[3], T()), pack(x.v[4], x.v[5], T()), pack(x.v[6], x.v[7], T()));
}
// Four numbers: 16 bytes of f32, 8 of 16-bit storage.
__device__ __forceinline__ void store_quad(float* to, float4 x) { store_words(to, bits(x.x), bits(x.y), bits(x.z), bits(x.w)); }
template <typename T> __device__ __forceinline__ void store_quad(T* to, float4 x) {
  store_words(to, pack(x.x, x.y, T()), pack(x.z, x.w, T()));
}
// Two numbers.
__device__ __forceinline__ void store_pair(float* to, float2 x) { store_words(to, bits(x.x), bits(x.y)); }
template <typename T> __device__ __forceinline__ void store_pair(T* to, float2 x) {
  *reinterpret_cast<uint32_t*>(to) = pack(x.x, x.y, T());
}
// As many f32 numbers as a vector of T has.
template <typename T> __device__ __forceinline__ Vector<T> load_floats(const float* from) {
  Vector<T> r;
#pragma unroll
  for (int i = 0; i < Vector<T>::N; i += 4) {
    float4 x = *reinterpret_cast<const float4*>(from + i);
    r.v[i] = x.x, r.v[i + 1] = x.y, r.v[i + 2] = x.z, r.v[i + 3] = x.w;
  }
  return r;
}
template <typename T> __device__ __forceinline__ void store_floats(float* to, const Vector<T>& x) {
#pragma unroll
  for (int i = 0; i < Vector<T>::N; i += 4)
    *reinterpret_cast<float4*>(to + i) = make_float4(x.v[i], x.v[i + 1], x.v[i + 2], x.v[i + 3]);
}

// Which channels and rows a thread of a block takes in one slice: `lanes` (a power of two) neighbouring threads take the
// slice's vectors, and the block's threads take rows `row`, `row + rows`, ...
struct Lanes {
  uint32_t channel;  // of the value
  uint32_t local;    // of the slice
  uint32_t row;
  uint32_t rows;
  uint32_t lanes;
  bool active;       // else the slice has no such channel

  __device__ __forceinline__ Lanes(uint32_t first, uint32_t channels, uint32_t width) {
    uint32_t vectors = min(static_cast<uint32_t>(SLICE), channels - first) / width;
    uint32_t shift = vectors > 1 ? WARP - __clz(static_cast<int>(vectors - 1)) : 0;
    uint32_t lane = threadIdx.x & ((1u << shift) - 1);
    local = lane * width;
    channel = first + local;
    active = lane < vectors;
    row = threadIdx.x >> shift;
    rows = THREADS >> shift;
    lanes = 1u << shift;
  }

  // The sum over the threads of the warp that have the same channels, in all of them; the order is fixed.
  __device__ __forceinline__ float sum_rows(float value) const {
    for (uint32_t step = lanes; step < WARP; step <<= 1) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
  }
};

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = WARP / 2; step > 0; step >>= 1) value += __shfl_xor_sync(ALL_LANES, value, step);
  return value;
}
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int step = WARP / 2; step > 0; step >>= 1) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, step));
  return value;
}
// A NaN passes, so that a diverged network shows.
__device__ __forceinline__ float relu(float x) { return x <= 0.f ? 0.f : x; }
__device__ __forceinline__ float sigmoid(float logit) { return 1.f / (1.f + expf(-logit)); }

// Defines NAME_f32, NAME_f16 and NAME_bf16 as kernels that call the template NAME.
#define FOR_EACH_STORAGE(DEFINE) DEFINE(float, f32) DEFINE(__half, f16) DEFINE(__nv_bfloat16, bf16)
