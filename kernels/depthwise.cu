// A RandWire node up to its pointwise convolution: gather, ReLU, depthwise 3x3 (padding 1, stride 1 or 2) in one kernel,
// and its backward. The gathered input stays in shared memory; the backward forms it again.
//
// Shapes      x_e (images, in_height, in_width, channels) T; output (images, height, width, channels) T;
//             coefficients of an edge (2, channels) f32; weight (9, channels) f32
// Tiles       2^rows * 2^columns pixels of 2^images images of one slice of 32 channels; for small images several together
//
// Forward
//   Bytes     (edges * in_height * in_width + height * width) * images * channels * sizeof(T); a tile's border is read twice
//   Flops     images * channels * (2 * edges * in_height * in_width + 18 * height * width)
//   Floor     bytes: 18 + 2 edges flops for each element written, against 10 to 20 that a device does in that time
// Backward
//   Bytes     (2 * edges * in_height * in_width + height * width + in_height * in_width) * images * channels * sizeof(T);
//             the second read of the inputs comes from the caches
//   Flops     images * channels * in_height * in_width * (4 * edges + 36 / stride^2)
//   Floor     bytes
#include "common.cuh"

constexpr int PIXELS = 64;   // of a tile: outputs in the forward, inputs in the backward
constexpr int HALO = 192;    // pixels of a tile's other side, border included
constexpr int QUADS = SLICE / 4;
constexpr int QUAD_ROWS = THREADS / QUADS;
constexpr int PAIRS = SLICE / 2;
constexpr int PAIR_ROWS = THREADS / PAIRS;
constexpr int WARPS = THREADS / WARP;

// Gather inputs whose products with the gradient are summed in one pass: as many as 16 registers hold sums of.
template <typename T> constexpr int EDGE_PASS = 16 / Vector<T>::N;

struct DepthwiseTask {
  uint64_t output;    // forward: written; backward: its gradient, read
  uint64_t gradient;  // of the gathered sum, before the ReLU: written by the backward
  uint64_t weight;            // in the arena of parameters
  uint64_t sums;              // (groups, 1 + edges, channels)
  uint64_t weight_gradients;  // (groups, 9, channels)
  uint32_t first_edge;
  uint32_t edges;
  uint32_t images;
  uint32_t channels;
  uint32_t in_height;
  uint32_t in_width;
  uint32_t height;
  uint32_t width;
  uint32_t stride;
  uint32_t log_rows;     // of a forward tile
  uint32_t log_columns;
  uint32_t log_images;
  uint32_t back_log_rows;  // of a backward tile
  uint32_t back_log_columns;
  uint32_t back_log_images;
  uint32_t tiles_a_group;  // backward tiles that one block takes, one after the other
};

// A tile of a plane of height * width pixels.
struct Tile {
  uint32_t image;
  uint32_t y;
  uint32_t x;
  uint32_t log_columns;
  uint32_t log_rows;

  __device__ __forceinline__ Tile(uint32_t number, uint32_t height, uint32_t width, uint32_t log_rows, uint32_t log_columns,
                                  uint32_t log_images)
      : log_columns(log_columns), log_rows(log_rows) {
    uint32_t across = ((width - 1) >> log_columns) + 1, down = ((height - 1) >> log_rows) + 1;
    x = (number % across) << log_columns;
    number /= across;
    y = (number % down) << log_rows;
    image = (number / down) << log_images;
  }
  // Pixel `p` of the tile, counted from its corner.
  __device__ __forceinline__ uint32_t column(uint32_t p) const { return p & ((1u << log_columns) - 1); }
  __device__ __forceinline__ uint32_t row(uint32_t p) const { return (p >> log_columns) & ((1u << log_rows) - 1); }
  __device__ __forceinline__ uint32_t member(uint32_t p) const { return p >> (log_columns + log_rows); }
};

// The window of pixels around a tile on its other side.
struct Window {
  int y;
  int x;
  uint32_t rows;
  uint32_t columns;

  __device__ __forceinline__ uint32_t index(uint32_t member, int row, int column) const {
    return (member * rows + static_cast<uint32_t>(row - y)) * columns + static_cast<uint32_t>(column - x);
  }
};

// relu(sum_e scale_e * x_e + shift_e) of one pixel's vector.
template <typename T, int UNROLL>
__device__ __forceinline__ Vector<T> gathered(const DepthwiseTask& task, const Edge* edges, const float* floats,
                                              const T* values, uint64_t at, uint32_t channel) {
  Vector<T> sum = Vector<T>::filled(0.f);
#pragma unroll UNROLL
  for (uint32_t e = 0; e < task.edges; e++) {
    Edge edge = edges[task.first_edge + e];
    const float* coefficients = floats + edge.coefficients + channel;
    Vector<T> scale = load_floats<T>(coefficients), shift = load_floats<T>(coefficients + task.channels);
    Vector<T> x = load(values + edge.value + at);
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) sum.v[c] += fmaf(x.v[c], scale.v[c], shift.v[c]);
  }
#pragma unroll
  for (int c = 0; c < Vector<T>::N; c++) sum.v[c] = relu(sum.v[c]);
  return sum;
}

__device__ __forceinline__ void add_product(float2& sum, float2 a, float2 b) {
  sum.x = fmaf(a.x, b.x, sum.x), sum.y = fmaf(a.y, b.y, sum.y);
}
__device__ __forceinline__ void add_product(float4& sum, float4 a, float4 b) {
  sum.x = fmaf(a.x, b.x, sum.x), sum.y = fmaf(a.y, b.y, sum.y), sum.z = fmaf(a.z, b.z, sum.z), sum.w = fmaf(a.w, b.w, sum.w);
}

template <typename T>
__device__ __forceinline__ void depthwise(const Item* items, const DepthwiseTask* tasks, const Edge* edges,
                                          const float* parameters, const float* floats, T* values) {
  __shared__ __align__(16) float plane[HALO][SLICE];
  __shared__ DepthwiseTask task;  // not in registers: they are scarce
  Item item = items[blockIdx.x];
  if (threadIdx.x == 0) task = tasks[item.task];
  __syncthreads();
  uint32_t slices = ceil_div(task.channels, SLICE), first_channel = (item.tile % slices) * SLICE;
  Tile tile(item.tile / slices, task.height, task.width, task.log_rows, task.log_columns, task.log_images);
  Window window{static_cast<int>(tile.y * task.stride) - 1, static_cast<int>(tile.x * task.stride) - 1,
                ((1u << task.log_rows) - 1) * task.stride + 3, ((1u << task.log_columns) - 1) * task.stride + 3};
  uint32_t plane_pixels = window.rows * window.columns;
  Lanes lanes(first_channel, task.channels, Vector<T>::N);
  for (uint32_t p = lanes.row; lanes.active && p < plane_pixels << task.log_images; p += lanes.rows) {
    uint32_t image = tile.image + p / plane_pixels, in_plane = p % plane_pixels;
    int y = window.y + static_cast<int>(in_plane / window.columns), x = window.x + static_cast<int>(in_plane % window.columns);
    Vector<T> sum = Vector<T>::filled(0.f);
    if (image < task.images && y >= 0 && y < static_cast<int>(task.in_height) && x >= 0 && x < static_cast<int>(task.in_width)) {
      uint64_t at = (static_cast<uint64_t>(image) * task.in_height + y) * task.in_width + x;
      sum = gathered<T, 2>(task, edges, floats, values, at * task.channels + lanes.channel, lanes.channel);
    }
    store_floats<T>(&plane[p][lanes.local], sum);
  }
  __syncthreads();
  uint32_t quad = threadIdx.x % QUADS * 4, channel = first_channel + quad;
  if (channel >= task.channels) return;
  float4 weight[9];
#pragma unroll
  for (int tap = 0; tap < 9; tap++)
    weight[tap] = *reinterpret_cast<const float4*>(parameters + task.weight + tap * task.channels + channel);
  uint32_t pixels = 1u << (task.log_rows + task.log_columns + task.log_images);
  for (uint32_t p = threadIdx.x / QUADS; p < pixels; p += QUAD_ROWS) {
    uint32_t image = tile.image + tile.member(p), y = tile.y + tile.row(p), x = tile.x + tile.column(p);
    if (image >= task.images || y >= task.height || x >= task.width) continue;
    uint32_t corner = window.index(tile.member(p), y * task.stride - 1, x * task.stride - 1);
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll
    for (int i = 0; i < 3; i++) {
#pragma unroll
      for (int j = 0; j < 3; j++)
        add_product(sum, *reinterpret_cast<const float4*>(&plane[corner + i * window.columns + j][quad]), weight[3 * i + j]);
    }
    uint64_t at = (static_cast<uint64_t>(image) * task.height + y) * task.width + x;
    store_quad(values + task.output + at * task.channels + channel, sum);
  }
}

// Shared memory of the backward.
struct BackwardShared {
  float outputs[HALO][SLICE];         // gradient of the convolution's outputs around the tile
  float inputs[PIXELS][SLICE];        // the gathered inputs, then the gradient before the ReLU
  float weight[9][SLICE];
  float warps[WARPS][EDGE_PASS<float>][SLICE];
};

// Loads the gradients of the outputs that a tile of inputs touches.
template <typename T>
__device__ __forceinline__ void load_outputs(BackwardShared& shared, const DepthwiseTask& task, const Lanes& lanes,
                                             const Tile& tile, const Window& window, const T* values) {
  uint32_t plane_pixels = window.rows * window.columns;
  for (uint32_t p = lanes.row; lanes.active && p < plane_pixels << task.back_log_images; p += lanes.rows) {
    uint32_t image = tile.image + p / plane_pixels, in_plane = p % plane_pixels;
    int y = window.y + static_cast<int>(in_plane / window.columns), x = window.x + static_cast<int>(in_plane % window.columns);
    Vector<T> gradient = Vector<T>::filled(0.f);
    if (image < task.images && y >= 0 && y < static_cast<int>(task.height) && x >= 0 && x < static_cast<int>(task.width)) {
      uint64_t at = (static_cast<uint64_t>(image) * task.height + y) * task.width + x;
      gradient = load(values + task.output + at * task.channels + lanes.channel);
    }
    store_floats<T>(&shared.outputs[p][lanes.local], gradient);
  }
}

// Where pixel `p` of a tile of inputs lies in the values, in pixels; false if it lies in none.
__device__ __forceinline__ bool input_at(const DepthwiseTask& task, const Tile& tile, uint32_t p, uint64_t& at) {
  uint32_t image = tile.image + tile.member(p), y = tile.y + tile.row(p), x = tile.x + tile.column(p);
  at = (static_cast<uint64_t>(image) * task.in_height + y) * task.in_width + x;
  return image < task.images && y < task.in_height && x < task.in_width;
}

// Forms a tile's gathered inputs; pixels that are none are 0.
template <typename T>
__device__ __forceinline__ void load_inputs(BackwardShared& shared, const DepthwiseTask& task, const Lanes& lanes,
                                            const Tile& tile, const Edge* edges, const float* floats, const T* values) {
  for (uint32_t p = lanes.row; lanes.active && p < PIXELS; p += lanes.rows) {
    uint64_t at;
    Vector<T> sum = Vector<T>::filled(0.f);
    if (p >> (task.back_log_rows + task.back_log_columns + task.back_log_images) == 0 && input_at(task, tile, p, at))
      sum = gathered<T, 2>(task, edges, floats, values, at * task.channels + lanes.channel, lanes.channel);
    store_floats<T>(&shared.inputs[p][lanes.local], sum);
  }
}

// Takes the outputs' gradient back to one tile of inputs and through the ReLU; adds up the weight's gradient and the sums.
template <typename T>
__device__ __forceinline__ void convolve_back(BackwardShared& shared, const DepthwiseTask& task, const Tile& tile,
                                              const Window& window, uint32_t channel, T* values,
                                              float2 (&weight_gradient)[9], float2& sums) {
  uint32_t pair = threadIdx.x % PAIRS * 2;
#pragma unroll 1
  for (uint32_t p = threadIdx.x / PAIRS; p < PIXELS; p += PAIR_ROWS) {
    uint64_t at;
    float2 input = *reinterpret_cast<const float2*>(&shared.inputs[p][pair]);
    float2 gradient = make_float2(0.f, 0.f);
    bool inside = p >> (task.back_log_rows + task.back_log_columns + task.back_log_images) == 0 && input_at(task, tile, p, at);
    if (inside) {
      int row = tile.y + tile.row(p) + 1, column = tile.x + tile.column(p) + 1;
#pragma unroll
      for (int i = 0; i < 3; i++) {
#pragma unroll
        for (int j = 0; j < 3; j++) {
          int y = row - i, x = column - j;
          if (task.stride == 2 && ((y | x) & 1)) continue;
          if (task.stride == 2) y >>= 1, x >>= 1;
          float2 output = *reinterpret_cast<const float2*>(&shared.outputs[window.index(tile.member(p), y, x)][pair]);
          add_product(gradient, output, *reinterpret_cast<const float2*>(&shared.weight[3 * i + j][pair]));
          add_product(weight_gradient[3 * i + j], output, input);
        }
      }
      gradient.x = input.x > 0.f ? gradient.x : 0.f;
      gradient.y = input.y > 0.f ? gradient.y : 0.f;
      sums.x += gradient.x, sums.y += gradient.y;
      store_pair(values + task.gradient + at * task.channels + channel, gradient);
    }
    *reinterpret_cast<float2*>(&shared.inputs[p][pair]) = gradient;
  }
}

// Adds a tile's channel sums of gradient * x_e to the block's, EDGE_PASS inputs at a time.
template <typename T>
__device__ __forceinline__ void add_products(BackwardShared& shared, const DepthwiseTask& task, const Lanes& lanes,
                                             const Tile& tile, const Edge* edges, const T* values, float* products, bool first) {
  constexpr int PASS = EDGE_PASS<T>;
  for (uint32_t pass = 0; pass < task.edges; pass += PASS) {
    Vector<T> sum[PASS];
#pragma unroll
    for (int e = 0; e < PASS; e++) sum[e] = Vector<T>::filled(0.f);
    for (uint32_t p = lanes.row; lanes.active && p < PIXELS; p += lanes.rows) {
      uint64_t at;
      if (p >> (task.back_log_rows + task.back_log_columns + task.back_log_images) != 0 || !input_at(task, tile, p, at)) continue;
      Vector<T> gradient = load_floats<T>(&shared.inputs[p][lanes.local]);
#pragma unroll
      for (int e = 0; e < PASS; e++)
        if (pass + e < task.edges) {
          Vector<T> x = load(values + edges[task.first_edge + pass + e].value + at * task.channels + lanes.channel);
#pragma unroll
          for (int c = 0; c < Vector<T>::N; c++) sum[e].v[c] = fmaf(gradient.v[c], x.v[c], sum[e].v[c]);
        }
    }
#pragma unroll
    for (int e = 0; e < PASS; e++) {
#pragma unroll
      for (int c = 0; c < Vector<T>::N; c++) sum[e].v[c] = lanes.sum_rows(sum[e].v[c]);
      if (lanes.active && threadIdx.x % WARP < lanes.lanes)
        store_floats<T>(&shared.warps[threadIdx.x / WARP][e][lanes.local], sum[e]);
    }
    __syncthreads();
    uint32_t edge = threadIdx.x / SLICE, local = threadIdx.x % SLICE, channel = lanes.channel - lanes.local + local;
    if (edge < PASS && pass + edge < task.edges && channel < task.channels) {
      float total = 0.f;
#pragma unroll
      for (int w = 0; w < WARPS; w++) total += shared.warps[w][edge][local];
      float* to = products + (pass + edge) * task.channels + channel;
      *to = first ? total : *to + total;
    }
    __syncthreads();
  }
}

// The sum of a pair over the block's threads that have the same channels, in the first warp's first lanes.
__device__ __forceinline__ float2 block_sum(float (&warps)[WARPS][SLICE], float2 x) {
  for (int step = PAIRS; step < WARP; step <<= 1) {
    x.x += __shfl_xor_sync(ALL_LANES, x.x, step), x.y += __shfl_xor_sync(ALL_LANES, x.y, step);
  }
  uint32_t pair = threadIdx.x % PAIRS * 2;
  __syncthreads();
  if (threadIdx.x % WARP < PAIRS) *reinterpret_cast<float2*>(&warps[threadIdx.x / WARP][pair]) = x;
  __syncthreads();
  float2 total = make_float2(0.f, 0.f);
#pragma unroll
  for (int w = 0; w < WARPS; w++) {
    float2 part = *reinterpret_cast<const float2*>(&warps[w][pair]);
    total.x += part.x, total.y += part.y;
  }
  return total;
}

template <typename T>
__device__ __forceinline__ void depthwise_backward(const Item* items, const DepthwiseTask* tasks, const Edge* edges,
                                                   const float* parameters, float* floats, T* values) {
  __shared__ __align__(16) BackwardShared shared;
  __shared__ DepthwiseTask task;  // not in registers: they are scarce
  Item item = items[blockIdx.x];
  if (threadIdx.x == 0) task = tasks[item.task];
  __syncthreads();
  uint32_t slices = ceil_div(task.channels, SLICE), first_channel = (item.tile % slices) * SLICE;
  uint32_t group = item.tile / slices;
  Lanes lanes(first_channel, task.channels, Vector<T>::N);
  uint32_t rows = 1u << task.back_log_rows, columns = 1u << task.back_log_columns;
  uint32_t tiles = (((task.in_width - 1) >> task.back_log_columns) + 1) * (((task.in_height - 1) >> task.back_log_rows) + 1) *
                   (((task.images - 1) >> task.back_log_images) + 1);
  uint32_t channel = first_channel + threadIdx.x % PAIRS * 2;
  bool has_channel = channel < task.channels;
  if (uint32_t tap = threadIdx.x / PAIRS; tap < 9 && has_channel)
    *reinterpret_cast<float2*>(&shared.weight[tap][threadIdx.x % PAIRS * 2]) =
        *reinterpret_cast<const float2*>(parameters + task.weight + tap * task.channels + channel);
  float* sums_to = floats + task.sums + static_cast<uint64_t>(group) * (1 + task.edges) * task.channels;
  float2 weight_gradient[9], sums = make_float2(0.f, 0.f);
#pragma unroll
  for (int tap = 0; tap < 9; tap++) weight_gradient[tap] = sums;
  for (uint32_t number = group * task.tiles_a_group; number < min(tiles, (group + 1) * task.tiles_a_group); number++) {
    Tile tile(number, task.in_height, task.in_width, task.back_log_rows, task.back_log_columns, task.back_log_images);
    // An input at y is read by the outputs from (y - 1) / stride, rounded up, to (y + 1) / stride, rounded down.
    Window window;
    if (task.stride == 1)
      window = {static_cast<int>(tile.y) - 1, static_cast<int>(tile.x) - 1, rows + 2, columns + 2};
    else
      window = {static_cast<int>(tile.y) / 2, static_cast<int>(tile.x) / 2, (rows + 1) / 2 + 1, (columns + 1) / 2 + 1};
    load_outputs<T>(shared, task, lanes, tile, window, values);
    load_inputs<T>(shared, task, lanes, tile, edges, floats, values);
    __syncthreads();
    if (has_channel)
      convolve_back<T>(shared, task, tile, window, channel, values, weight_gradient, sums);
    __syncthreads();
    add_products<T>(shared, task, lanes, tile, edges, values, sums_to + task.channels, number == group * task.tiles_a_group);
  }
  float(&warps)[WARPS][SLICE] = *reinterpret_cast<float(*)[WARPS][SLICE]>(&shared.warps);
  bool writes = threadIdx.x < PAIRS && has_channel;
  float2 total = block_sum(warps, sums);
  if (writes) *reinterpret_cast<float2*>(sums_to + channel) = total;
  float* gradients_to = floats + task.weight_gradients + static_cast<uint64_t>(group) * 9 * task.channels;
#pragma unroll
  for (int tap = 0; tap < 9; tap++) {
    total = block_sum(warps, weight_gradient[tap]);
    if (writes) *reinterpret_cast<float2*>(gradients_to + tap * task.channels + channel) = total;
  }
}

#define DEFINE(T, NAME)                                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS, 3) depthwise_##NAME(                                              \
      const Item* __restrict__ items, const DepthwiseTask* __restrict__ tasks, const Edge* __restrict__ edges,         \
      const float* __restrict__ parameters, const float* __restrict__ floats, T* values) {                             \
    depthwise<T>(items, tasks, edges, parameters, floats, values);                                                     \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) depthwise_backward_##NAME(                                     \
      const Item* __restrict__ items, const DepthwiseTask* __restrict__ tasks, const Edge* __restrict__ edges,         \
      const float* __restrict__ parameters, float* floats, T* values) {                                                \
    depthwise_backward<T>(items, tasks, edges, parameters, floats, values);                                            \
  }
FOR_EACH_STORAGE(DEFINE)
