// The depthwise half of a separable k x k convolution (k = 3 or 5, stride 1, padding (k - 1) / 2) on an input that join.cu has
// activated; the pointwise half is product.cu's. (A RandWire node's 3x3 is depthwise.cu's, which gathers its inputs itself.)
//
//   separable         y[p] = sum_tap w[tap] * x[p + tap]; with flipped taps it is the gradient of x from that of y
//   separable_weight  dw[tap] = sum_p dy[p] * x[p + tap]: one partial sum for each group of lines
//
// Shapes      x, y (images, height, width, channels) T; w (k * k, channels) f32; partials (groups, k * k, channels) f32
// Bytes       separable: 2 * images * height * width * channels * sizeof(T); separable_weight: as many, and the partial sums
// Flops       2 * k * k * images * height * width * channels
// Floor       bytes: k * k flops a byte in 16-bit storage, against 10 to 20 that f32 FMAs do in that time, so k = 5 is near
//             the crossing. Windows overlap in the caches: a thread loads a vector (k + 3) * k times for 4 outputs in a row
// Block       separable: 256 threads, each 4 neighbouring outputs of one vector of channels; separable_weight: a slice of 32
//             channels by `rows_per_group` pixels, one line of taps after the other
#include "common.cuh"

constexpr int RUN = 4;
constexpr int WARPS = THREADS / WARP;

struct SeparableTask {
  uint64_t input;             // separable: read; separable_weight: x
  uint64_t output;            // separable: written; separable_weight: gradient of y, read
  uint64_t weight;            // (k * k, channels) parameters
  uint64_t weight_gradients;  // (groups, k * k, channels) floats
  uint32_t images;
  uint32_t channels;
  uint32_t height;
  uint32_t width;
  uint32_t size;
  uint32_t flipped;
  uint32_t rows_per_group;
  uint32_t reserved;
};

template <typename T, int SIZE>
__device__ __forceinline__ void convolve(const SeparableTask& task, uint64_t number, const float* parameters, T* values) {
  constexpr int BORDER = (SIZE - 1) / 2;
  uint32_t vectors = task.channels / Vector<T>::N, runs = ceil_div(task.width, RUN);
  uint32_t channel = static_cast<uint32_t>(number % vectors) * Vector<T>::N;
  uint32_t run = static_cast<uint32_t>(number / vectors), line = run / runs;
  int x = static_cast<int>(run % runs) * RUN, y = static_cast<int>(line % task.height), width = static_cast<int>(task.width);
  uint32_t image = line / task.height;
  if (image >= task.images) return;
  Vector<T> sum[RUN];
#pragma unroll
  for (int i = 0; i < RUN; i++) sum[i] = Vector<T>::filled(0.f);
#pragma unroll 1
  for (int row = 0; row < SIZE; row++) {
    int in_y = y + row - BORDER;
    if (in_y < 0 || in_y >= static_cast<int>(task.height)) continue;
    Vector<T> weight[SIZE];
#pragma unroll
    for (int column = 0; column < SIZE; column++) {
      int tap = row * SIZE + column;
      weight[column] = load_floats<T>(parameters + task.weight + (task.flipped ? SIZE * SIZE - 1 - tap : tap) * task.channels + channel);
    }
    const T* from = values + task.input + (static_cast<uint64_t>(image) * task.height + in_y) * task.width * task.channels + channel;
#pragma unroll
    for (int j = 0; j < SIZE + RUN - 1; j++) {
      int in_x = x + j - BORDER;
      if (in_x < 0 || in_x >= width) continue;
      Vector<T> value = load(from + static_cast<uint64_t>(in_x) * task.channels);
#pragma unroll
      for (int i = 0; i < RUN; i++) {
        int column = j - i;
        if (column < 0 || column >= SIZE) continue;
#pragma unroll
        for (int c = 0; c < Vector<T>::N; c++) sum[i].v[c] = fmaf(weight[column].v[c], value.v[c], sum[i].v[c]);
      }
    }
  }
  T* to = values + task.output + (static_cast<uint64_t>(line) * task.width + x) * task.channels + channel;
#pragma unroll
  for (int i = 0; i < RUN; i++)
    if (x + i < width) store(to + static_cast<uint64_t>(i) * task.channels, sum[i]);
}

template <typename T>
__device__ __forceinline__ void separable(const Item* items, const SeparableTask* tasks, const float* parameters, T* values) {
  Item item = items[blockIdx.x];
  SeparableTask task = tasks[item.task];
  uint64_t number = static_cast<uint64_t>(item.tile) * THREADS + threadIdx.x;
  if (task.size == 3)
    convolve<T, 3>(task, number, parameters, values);
  else
    convolve<T, 5>(task, number, parameters, values);
}

// The gradients of one line of taps over the block's pixels.
template <typename T, int SIZE>
__device__ __forceinline__ void line_gradients(float (&warps)[WARPS][SLICE], const SeparableTask& task, const Lanes& lanes,
                                               uint32_t group, int row, const T* values, float* floats) {
  constexpr int BORDER = (SIZE - 1) / 2;
  uint32_t rows = task.images * task.height * task.width;
  uint32_t end = min(rows, (group + 1) * task.rows_per_group);
  Vector<T> sum[SIZE];
#pragma unroll
  for (int column = 0; column < SIZE; column++) sum[column] = Vector<T>::filled(0.f);
  for (uint32_t p = group * task.rows_per_group + lanes.row; lanes.active && p < end; p += lanes.rows) {
    uint32_t line = p / task.width;
    int x = static_cast<int>(p % task.width), in_y = static_cast<int>(line % task.height) + row - BORDER;
    if (in_y < 0 || in_y >= static_cast<int>(task.height)) continue;
    Vector<T> gradient = load(values + task.output + static_cast<uint64_t>(p) * task.channels + lanes.channel);
    // The pixel `row - BORDER` lines below.
    const T* from = values + task.input + lanes.channel +
                    (static_cast<int64_t>(p) + static_cast<int64_t>(row - BORDER) * task.width) * task.channels;
#pragma unroll
    for (int column = 0; column < SIZE; column++) {
      int in_x = x + column - BORDER;
      if (in_x < 0 || in_x >= static_cast<int>(task.width)) continue;
      Vector<T> value = load(from + static_cast<int64_t>(column - BORDER) * task.channels);
#pragma unroll
      for (int c = 0; c < Vector<T>::N; c++) sum[column].v[c] = fmaf(gradient.v[c], value.v[c], sum[column].v[c]);
    }
  }
#pragma unroll
  for (int column = 0; column < SIZE; column++) {
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) sum[column].v[c] = lanes.sum_rows(sum[column].v[c]);
    __syncthreads();
    if (lanes.active && threadIdx.x % WARP < lanes.lanes)
      store_floats<T>(&warps[threadIdx.x / WARP][lanes.local], sum[column]);
    __syncthreads();
    uint32_t channel = lanes.channel - lanes.local + threadIdx.x;
    if (threadIdx.x < SLICE && channel < task.channels) {
      float total = 0.f;
#pragma unroll
      for (int w = 0; w < WARPS; w++) total += warps[w][threadIdx.x];
      uint64_t tap = static_cast<uint64_t>(group) * SIZE * SIZE + row * SIZE + column;
      floats[task.weight_gradients + tap * task.channels + channel] = total;
    }
  }
}

template <typename T>
__device__ __forceinline__ void separable_weight(const Item* items, const SeparableTask* tasks, const T* values, float* floats) {
  __shared__ __align__(16) float warps[WARPS][SLICE];
  Item item = items[blockIdx.x];
  SeparableTask task = tasks[item.task];
  uint32_t slices = ceil_div(task.channels, SLICE), group = item.tile / slices;
  Lanes lanes((item.tile % slices) * SLICE, task.channels, Vector<T>::N);
#pragma unroll 1
  for (int row = 0; row < static_cast<int>(task.size); row++) {
    if (task.size == 3)
      line_gradients<T, 3>(warps, task, lanes, group, row, values, floats);
    else
      line_gradients<T, 5>(warps, task, lanes, group, row, values, floats);
  }
}

#define DEFINE(T, NAME)                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) separable_##NAME(                                     \
      const Item* __restrict__ items, const SeparableTask* __restrict__ tasks,                                   \
      const float* __restrict__ parameters, T* values) {                                                         \
    separable<T>(items, tasks, parameters, values);                                                              \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) separable_weight_##NAME(                              \
      const Item* __restrict__ items, const SeparableTask* __restrict__ tasks, const T* __restrict__ values,     \
      float* __restrict__ floats) {                                                                              \
    separable_weight<T>(items, tasks, values, floats);                                                           \
  }
FOR_EACH_STORAGE(DEFINE)
