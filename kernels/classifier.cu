// The end of a network: batch norm and ReLU (either may be missing), global average pool, dropout, (product.cu: fully connected), bias, softmax
// cross-entropy with label smoothing; and the way back to the head's raw output.
//
//   pool            x (images, pixels, channels) T -> features (images, channels), and what the backward needs: how many
//                   pixels pass the ReLU, and the sum of their raw values
//   loss            logits (images, columns) -> with the bias; losses and whether the label has the largest logit (images);
//                   gradient (images, columns)
//   bias_gradient   gradient -> (classes)
//   unpool          gradient of the features -> gradient of a pixel that passes, and the batch norm's channel sums
//   head_gradient   -> gradient of the raw output (images, pixels, channels) T, batch norm's backward folded in
//
// Bytes       pool: images * pixels * channels * sizeof(T) read; head_gradient: twice that; the others: f32 of
//             images * channels or images * columns
// Flops       a few for each element
// Floor       bytes; for loss, bias_gradient and unpool the launch
#include "common.cuh"

struct ClassifierTask {
  uint64_t values;    // the head's raw output, T
  uint64_t gradient;  // of the raw output, T
  uint64_t norm;      // (4, channels): scale, shift, ...; NONE: no batch norm
  uint64_t mask;      // (images, channels): 0 or 1 / (1 - p)
  uint64_t features;          // (images, channels), after dropout
  uint64_t features_gradient;
  uint64_t passing;
  uint64_t passing_values;
  uint64_t sums;              // (groups, 2, channels)
  uint64_t of_gradient;       // (2, channels): scale of the pixels' gradient
  uint64_t own;               // (2, channels): scale and shift of the raw output in its own gradient; NONE: no batch norm
  uint64_t logits;            // (images, columns)
  uint64_t logits_gradient;
  uint64_t bias;              // in the arenas of parameters and gradients
  uint64_t labels;
  uint64_t losses;
  uint64_t correct;
  uint32_t images;
  uint32_t pixels;
  uint32_t channels;
  uint32_t classes;
  uint32_t columns;
  uint32_t images_a_group;
  uint32_t relu;  // 0: every pixel passes
  uint32_t reserved;
};

// Row `row` of (rows, channels) numbers, or one number where there are none.
template <typename T>
__device__ __forceinline__ Vector<T> row_or(const ClassifierTask& task, uint64_t at, uint32_t row, uint32_t channel,
                                            const float* floats, float otherwise) {
  return at == NONE ? Vector<T>::filled(otherwise) : load_floats<T>(floats + at + row * task.channels + channel);
}

// What numbers must not be below or at to pass: 0 where there is a ReLU, else no number, which nothing is below or at. What is
// no number itself passes, so that it shows.
__device__ __forceinline__ float threshold(const ClassifierTask& task) { return task.relu ? 0.f : NAN; }

template <typename T>
__device__ __forceinline__ void pool(const Item* items, const ClassifierTask* tasks, const T* values, float* floats,
                                     uint32_t training) {
  Item item = items[blockIdx.x];
  ClassifierTask task = tasks[item.task];
  uint32_t vectors = task.channels / Vector<T>::N, number = item.tile * THREADS + threadIdx.x;
  uint32_t image = number / vectors, channel = number % vectors * Vector<T>::N;
  if (image >= task.images) return;
  Vector<T> scale = row_or<T>(task, task.norm, 0, channel, floats, 1.f);
  Vector<T> shift = row_or<T>(task, task.norm, 1, channel, floats, 0.f);
  Vector<T> sum = Vector<T>::filled(0.f), passing = sum, passing_values = sum;
  float least = threshold(task);
  const T* from = values + task.values + static_cast<uint64_t>(image) * task.pixels * task.channels + channel;
#pragma unroll 4
  for (uint32_t pixel = 0; pixel < task.pixels; pixel++) {
    Vector<T> x = load(from + static_cast<uint64_t>(pixel) * task.channels);
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) {
      float normalised = fmaf(x.v[c], scale.v[c], shift.v[c]);
      bool passes = !(normalised <= least);
      sum.v[c] += passes ? normalised : 0.f;
      passing.v[c] += passes ? 1.f : 0.f;
      passing_values.v[c] += passes ? x.v[c] : 0.f;
    }
  }
  uint64_t at = static_cast<uint64_t>(image) * task.channels + channel;
  Vector<T> mask = training ? load_floats<T>(floats + task.mask + at) : Vector<T>::filled(1.f);
#pragma unroll
  for (int c = 0; c < Vector<T>::N; c++) sum.v[c] = sum.v[c] / static_cast<float>(task.pixels) * mask.v[c];
  store_floats<T>(floats + task.features + at, sum);
  store_floats<T>(floats + task.passing + at, passing);
  store_floats<T>(floats + task.passing_values + at, passing_values);
}

// One image a warp: log sum exp - (1 - s) logit[label] - s mean(logits), and loss_scale / images times its gradient.
extern "C" __global__ void __launch_bounds__(THREADS) loss(const Item* __restrict__ items,
                                                           const ClassifierTask* __restrict__ tasks,
                                                           const float* __restrict__ parameters,
                                                           const uint32_t* __restrict__ labels,
                                                           const Settings* __restrict__ settings, float* floats) {
  Item item = items[blockIdx.x];
  ClassifierTask task = tasks[item.task];
  uint32_t image = item.tile * (THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (image >= task.images) return;
  float* logits = floats + task.logits + static_cast<uint64_t>(image) * task.columns;
  float* gradient = floats + task.logits_gradient + static_cast<uint64_t>(image) * task.columns;
  uint32_t label = labels[task.labels + image];
  float largest = -INFINITY, sum = 0.f;
  for (uint32_t c = lane; c < task.classes; c += WARP) {
    logits[c] += parameters[task.bias + c];
    largest = fmaxf(largest, logits[c]);
    sum += logits[c];
  }
  __syncwarp();
  largest = warp_max(largest);
  float mean = warp_sum(sum) / static_cast<float>(task.classes), exponentials = 0.f, of_label = logits[label];
  uint32_t wins = 1;
  for (uint32_t c = lane; c < task.classes; c += WARP) {
    exponentials += expf(logits[c] - largest);
    wins &= logits[c] < of_label || (c >= label && logits[c] <= of_label);
  }
  exponentials = warp_sum(exponentials);
  wins = __all_sync(ALL_LANES, wins);
  float smoothing = settings->label_smoothing, spread = smoothing / static_cast<float>(task.classes);
  float share = settings->loss_scale / static_cast<float>(task.images);
  for (uint32_t c = lane; c < task.columns; c += WARP) {
    float target = spread + (c == label ? 1.f - smoothing : 0.f);
    gradient[c] = c < task.classes ? (expf(logits[c] - largest) / exponentials - target) * share : 0.f;
  }
  if (lane == 0) {
    floats[task.losses + image] = largest + logf(exponentials) - (1.f - smoothing) * of_label - smoothing * mean;
    floats[task.correct + image] = wins ? 1.f : 0.f;
  }
}

// One class a thread.
extern "C" __global__ void __launch_bounds__(THREADS) bias_gradient(const Item* __restrict__ items,
                                                                    const ClassifierTask* __restrict__ tasks,
                                                                    const float* __restrict__ floats,
                                                                    float* __restrict__ gradients) {
  Item item = items[blockIdx.x];
  ClassifierTask task = tasks[item.task];
  uint32_t c = item.tile * THREADS + threadIdx.x;
  if (c >= task.columns) return;
  float sum = 0.f;
#pragma unroll 4
  for (uint32_t image = 0; image < task.images; image++)
    sum += floats[task.logits_gradient + static_cast<uint64_t>(image) * task.columns + c];
  gradients[task.bias + c] = sum;
}

// Four channels of one group of images a thread.
extern "C" __global__ void __launch_bounds__(THREADS) unpool(const Item* __restrict__ items,
                                                             const ClassifierTask* __restrict__ tasks, float* floats) {
  Item item = items[blockIdx.x];
  ClassifierTask task = tasks[item.task];
  uint32_t vectors = task.channels / 4, number = item.tile * THREADS + threadIdx.x;
  uint32_t group = number / vectors, channel = number % vectors * 4;
  uint32_t first = group * task.images_a_group, end = min(first + task.images_a_group, task.images);
  if (first >= task.images) return;
  Vector<float> sum = Vector<float>::filled(0.f), product = sum;
  for (uint32_t image = first; image < end; image++) {
    uint64_t at = static_cast<uint64_t>(image) * task.channels + channel;
    Vector<float> gradient = load(floats + task.features_gradient + at), mask = load(floats + task.mask + at);
    Vector<float> passing = load(floats + task.passing + at), passing_values = load(floats + task.passing_values + at);
#pragma unroll
    for (int c = 0; c < 4; c++) {
      gradient.v[c] = gradient.v[c] * mask.v[c] / static_cast<float>(task.pixels);
      sum.v[c] = fmaf(gradient.v[c], passing.v[c], sum.v[c]);
      product.v[c] = fmaf(gradient.v[c], passing_values.v[c], product.v[c]);
    }
    store(floats + task.features_gradient + at, gradient);
  }
  float* to = floats + task.sums + static_cast<uint64_t>(group) * 2 * task.channels + channel;
  store(to, sum);
  store(to + task.channels, product);
}

template <typename T>
__device__ __forceinline__ void head_gradient(const Item* items, const ClassifierTask* tasks, const float* floats, T* values) {
  Item item = items[blockIdx.x];
  ClassifierTask task = tasks[item.task];
  uint32_t vectors = task.channels / Vector<T>::N;
  uint64_t number = static_cast<uint64_t>(item.tile) * THREADS + threadIdx.x;
  uint32_t row = static_cast<uint32_t>(number / vectors), channel = static_cast<uint32_t>(number % vectors) * Vector<T>::N;
  if (row >= task.images * task.pixels) return;
  uint64_t at = static_cast<uint64_t>(row) * task.channels + channel;
  Vector<T> x = load(values + task.values + at);
  Vector<T> scale = row_or<T>(task, task.norm, 0, channel, floats, 1.f);
  Vector<T> shift = row_or<T>(task, task.norm, 1, channel, floats, 0.f);
  Vector<T> of_gradient = load_floats<T>(floats + task.of_gradient + channel);
  Vector<T> of_value = row_or<T>(task, task.own, 0, channel, floats, 0.f);
  Vector<T> constant = row_or<T>(task, task.own, 1, channel, floats, 0.f);
  float least = threshold(task);
  Vector<T> gradient =
      load_floats<T>(floats + task.features_gradient + static_cast<uint64_t>(row / task.pixels) * task.channels + channel);
#pragma unroll
  for (int c = 0; c < Vector<T>::N; c++) {
    bool passes = !(fmaf(x.v[c], scale.v[c], shift.v[c]) <= least);
    gradient.v[c] = (passes ? gradient.v[c] * of_gradient.v[c] : 0.f) + fmaf(x.v[c], of_value.v[c], constant.v[c]);
  }
  store(values + task.gradient + at, gradient);
}

#define DEFINE(T, NAME)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(THREADS, 3) pool_##NAME(                                                   \
      const Item* __restrict__ items, const ClassifierTask* __restrict__ tasks, const T* __restrict__ values,             \
      float* floats, uint32_t training) {                                                                                 \
    pool<T>(items, tasks, values, floats, training);                                                                      \
  }                                                                                                                       \
  extern "C" __global__ void __launch_bounds__(THREADS) head_gradient_##NAME(                                             \
      const Item* __restrict__ items, const ClassifierTask* __restrict__ tasks, const float* __restrict__ floats,         \
      T* values) {                                                                                                        \
    head_gradient<T>(items, tasks, floats, values);                                                                       \
  }
FOR_EACH_STORAGE(DEFINE)
