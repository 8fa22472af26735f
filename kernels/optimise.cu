// The optimiser on all tensors of all candidates in one launch: adds up the partial gradients in their order, then SGD with
// momentum and L2 decay: m = momentum * m + (g + decay * w); w -= rate * m. Without a partial sum the gradient is ready.
//
// Shapes      parameters, momentum, gradients (floats) f32; partials (splits, floats) f32; weights (floats) T: a rounded copy
//             of the parameters for the products
// Bytes       floats * (24 + 4 * splits + sizeof(T))
// Flops       floats * (5 + splits)
// Floor       bytes
#include "common.cuh"

struct TensorTask {
  uint64_t offset;    // in the arenas of parameters, momentum, gradients and weights
  uint64_t partials;
  uint32_t floats;    // a multiple of 8
  uint32_t splits;    // 0: the gradient is in the arena of gradients
};

__device__ __forceinline__ void write_weights(float*, uint64_t, const Vector<float>&) {}
template <typename T> __device__ __forceinline__ void write_weights(T* weights, uint64_t at, const Vector<float>& x) {
  store_quad(weights + at, make_float4(x.v[0], x.v[1], x.v[2], x.v[3]));
}

// f32 has no copy of the parameters: `weights` is not used.
template <typename T>
__device__ __forceinline__ void sgd(const Item* items, const TensorTask* tasks, const Settings* settings, const float* floats,
                                    float* parameters, float* momentum, float* gradients, T* weights) {
  Item item = items[blockIdx.x];
  TensorTask task = tasks[item.task];
  uint32_t number = (item.tile * THREADS + threadIdx.x) * 4;
  if (number >= task.floats) return;
  uint64_t at = task.offset + number;
  Vector<float> gradient = Vector<float>::filled(0.f);
  if (task.splits == 0) gradient = load(gradients + at);
#pragma unroll 4
  for (uint32_t split = 0; split < task.splits; split++) {
    Vector<float> part = load(floats + task.partials + static_cast<uint64_t>(split) * task.floats + number);
#pragma unroll
    for (int i = 0; i < 4; i++) gradient.v[i] += part.v[i];
  }
  Vector<float> value = load(parameters + at), moment = load(momentum + at);
  float scale = 1.f / settings->loss_scale;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    gradient.v[i] *= scale;
    moment.v[i] = fmaf(settings->momentum, moment.v[i], fmaf(settings->weight_decay, value.v[i], gradient.v[i]));
    value.v[i] = fmaf(-settings->learning_rate, moment.v[i], value.v[i]);
  }
  store(gradients + at, gradient);
  store(momentum + at, moment);
  store(parameters + at, value);
  write_weights(weights, at, value);
}

#define DEFINE(T, NAME)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS) sgd_##NAME(                                                      \
      const Item* __restrict__ items, const TensorTask* __restrict__ tasks, const Settings* __restrict__ settings,       \
      const float* __restrict__ floats, float* __restrict__ parameters, float* __restrict__ momentum, float* gradients,  \
      T* __restrict__ weights) {                                                                                         \
    sgd<T>(items, tasks, settings, floats, parameters, momentum, gradients, weights);                                    \
  }
FOR_EACH_STORAGE(DEFINE)

// weights = parameters, rounded: after the host has written the parameters.
#define DEFINE_ROUND(T, NAME)                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS) round_##NAME(const float* __restrict__ parameters,       \
                                                                     T* __restrict__ weights, uint64_t floats) { \
    uint64_t at = (static_cast<uint64_t>(blockIdx.x) * THREADS + threadIdx.x) * 4;                               \
    if (at < floats) write_weights(weights, at, load(parameters + at));                                          \
  }
DEFINE_ROUND(__half, f16)
DEFINE_ROUND(__nv_bfloat16, bf16)
