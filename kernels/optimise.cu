// The optimiser on all tensors of all candidates in one launch: adds up the partial gradients in their order, then SGD with
// momentum and L2 decay: d = gradient + decay * w; m = momentum * m + d; w -= rate * m, or with Nesterov's momentum
// w -= rate * (d + momentum * m). Without a partial sum the gradient is ready.
//
// Where gradients are clipped, two launches come before: square_gradients adds up the partial gradients and sums their squares
// tile by tile, clip_gradients makes of a network's sums what its gradient is multiplied with. The order of all sums is that
// of the network's own tiles, so that no other network changes it.
//
// Shapes      parameters, momentum, gradients (floats) f32; partials (splits, floats) f32; weights (floats) T: a rounded copy
//             of the parameters for the products; squares (tiles) f32
// Bytes       sgd: floats * (24 + 4 * splits + sizeof(T)); square_gradients: floats * (4 + 4 * splits)
// Flops       sgd: floats * (5 + splits); square_gradients: floats * (2 + splits)
// Floor       bytes
#include "common.cuh"

constexpr int WARPS = THREADS / WARP;

struct TensorTask {
  uint64_t offset;    // in the arenas of parameters, momentum, gradients and weights
  uint64_t partials;
  uint64_t squares;   // (tiles), where gradients are clipped
  uint64_t factor;    // one number of the network: its gradient is multiplied with it, where gradients are clipped
  uint32_t floats;    // a multiple of 8
  uint32_t splits;    // 0: the gradient is in the arena of gradients
};

// A network whose gradient is clipped.
struct ClipTask {
  uint64_t squares;  // (count): those of all its tensors
  uint64_t factor;   // written
  uint32_t count;
  uint32_t reserved;
};

__device__ __forceinline__ void write_weights(float*, uint64_t, const Vector<float>&) {}
template <typename T> __device__ __forceinline__ void write_weights(T* weights, uint64_t at, const Vector<float>& x) {
  store_quad(weights + at, make_float4(x.v[0], x.v[1], x.v[2], x.v[3]));
}

// Four elements of the whole gradient, without the loss's scale.
__device__ __forceinline__ Vector<float> whole_gradient(const TensorTask& task, uint32_t number, const Settings* settings,
                                                        const float* floats, const float* gradients) {
  Vector<float> gradient = Vector<float>::filled(0.f);
  if (task.splits == 0) gradient = load(gradients + task.offset + number);
#pragma unroll 4
  for (uint32_t split = 0; split < task.splits; split++) {
    Vector<float> part = load(floats + task.partials + static_cast<uint64_t>(split) * task.floats + number);
#pragma unroll
    for (int i = 0; i < 4; i++) gradient.v[i] += part.v[i];
  }
  float scale = 1.f / settings->loss_scale;
#pragma unroll
  for (int i = 0; i < 4; i++) gradient.v[i] *= scale;
  return gradient;
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
  bool clips = settings->gradient_clip > 0.f;
  Vector<float> gradient = clips ? load(gradients + at) : whole_gradient(task, number, settings, floats, gradients);
  Vector<float> value = load(parameters + at), moment = load(momentum + at);
  if (!clips) store(gradients + at, gradient);
  float factor = clips ? floats[task.factor] : 1.f, share = settings->momentum;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float direction = fmaf(settings->weight_decay, value.v[i], factor * gradient.v[i]);
    moment.v[i] = fmaf(share, moment.v[i], direction);
    float step = settings->nesterov ? fmaf(share, moment.v[i], direction) : moment.v[i];
    value.v[i] = fmaf(-settings->learning_rate, step, value.v[i]);
  }
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

// The sum over the block's threads in the first of them; the order is fixed.
__device__ __forceinline__ float block_sum(float value) {
  __shared__ float warps[WARPS];
  value = warp_sum(value);
  if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = value;
  __syncthreads();
  float sum = 0.f;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += warps[w];
  return sum;
}

// One block: a tile of a tensor, of 1024 elements; writes them whole to `gradients`, and the sum of their squares.
extern "C" __global__ void __launch_bounds__(THREADS) square_gradients(const Item* __restrict__ items,
                                                                       const TensorTask* __restrict__ tasks,
                                                                       const Settings* __restrict__ settings, float* floats,
                                                                       float* gradients) {
  Item item = items[blockIdx.x];
  TensorTask task = tasks[item.task];
  uint32_t number = (item.tile * THREADS + threadIdx.x) * 4;
  float squares = 0.f;
  if (number < task.floats) {
    Vector<float> gradient = whole_gradient(task, number, settings, floats, gradients);
    store(gradients + task.offset + number, gradient);
#pragma unroll
    for (int i = 0; i < 4; i++) squares = fmaf(gradient.v[i], gradient.v[i], squares);
  }
  squares = block_sum(squares);
  if (threadIdx.x == 0) floats[task.squares + item.tile] = squares;
}

// One block: a network. As PyTorch's clip_grad_norm_.
extern "C" __global__ void __launch_bounds__(THREADS) clip_gradients(const Item* __restrict__ items,
                                                                     const ClipTask* __restrict__ tasks,
                                                                     const Settings* __restrict__ settings, float* floats) {
  ClipTask task = tasks[items[blockIdx.x].task];
  float squares = 0.f;
  for (uint32_t at = threadIdx.x; at < task.count; at += THREADS) squares += floats[task.squares + at];
  squares = block_sum(squares);
  if (threadIdx.x == 0) floats[task.factor] = fminf(settings->gradient_clip / (sqrtf(squares) + 1e-6f), 1.f);
}

// weights = parameters, rounded: after the host has written the parameters.
#define DEFINE_ROUND(T, NAME)                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS) round_##NAME(const float* __restrict__ parameters,       \
                                                                     T* __restrict__ weights, uint64_t floats) { \
    uint64_t at = (static_cast<uint64_t>(blockIdx.x) * THREADS + threadIdx.x) * 4;                               \
    if (at < floats) write_weights(weights, at, load(parameters + at));                                          \
  }
DEFINE_ROUND(__half, f16)
DEFINE_ROUND(__nv_bfloat16, bf16)
