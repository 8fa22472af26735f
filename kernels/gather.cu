// The batched sparse gather: output = shift + sum_e scale_e * x_e, per channel. It is the mean of a stage's sinks, the
// head's input, and (over the consumers' gradients and the raw output itself) the gradient of a raw output.
//
// Shapes      x_e, output (rows, channels) T; coefficients of an edge (2, channels) f32
// Bytes       rows * channels * (edges + 1) * sizeof(T)
// Flops       2 * rows * channels * edges
// Floor       bytes: 2 flops for each loaded element
// Block       one slice of 32 channels by `rows_per_tile` rows; edges outside, 4 rows a thread inside, so that a scale is
//             loaded once for 4 rows and 4 loads are in flight
#include "common.cuh"

constexpr int ROWS_A_THREAD = 4;

struct GatherTask {
  uint64_t output;
  uint32_t first_edge;
  uint32_t edges;
  uint32_t rows;
  uint32_t channels;
  uint32_t rows_per_tile;
  uint32_t reserved;
};

// The four rows a thread takes of a tile.
struct Rows {
  uint32_t row[ROWS_A_THREAD];
  bool valid[ROWS_A_THREAD];

  __device__ __forceinline__ Rows(const Lanes& lanes, uint32_t tile, uint32_t rows_per_tile, uint32_t rows) {
    uint32_t first = tile * rows_per_tile, end = min(first + rows_per_tile, rows);
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++) {
      row[i] = first + lanes.row + i * lanes.rows;
      valid[i] = lanes.active && row[i] < end;
    }
  }
};

template <typename T>
__device__ __forceinline__ void gather(const Item* items, const GatherTask* tasks, const Edge* edges, const float* floats,
                                       T* values) {
  Item item = items[blockIdx.x];
  GatherTask task = tasks[item.task];
  uint32_t slices = ceil_div(task.channels, SLICE);
  Lanes lanes((item.tile % slices) * SLICE, task.channels, Vector<T>::N);
  Rows at(lanes, item.tile / slices, task.rows_per_tile, task.rows);
  Vector<T> sum[ROWS_A_THREAD];
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++) sum[i] = Vector<T>::filled(0.f);
  if (!lanes.active) return;
  for (uint32_t e = 0; e < task.edges; e++) {
    Edge edge = edges[task.first_edge + e];
    const float* coefficients = floats + edge.coefficients + lanes.channel;
    Vector<T> scale = load_floats<T>(coefficients), shift = load_floats<T>(coefficients + task.channels);
    Vector<T> x[ROWS_A_THREAD];
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++)
      if (at.valid[i]) x[i] = load(values + edge.value + static_cast<uint64_t>(at.row[i]) * task.channels + lanes.channel);
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++)
      if (at.valid[i]) {
#pragma unroll
        for (int c = 0; c < Vector<T>::N; c++) sum[i].v[c] += fmaf(x[i].v[c], scale.v[c], shift.v[c]);
      }
  }
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++)
    if (at.valid[i])
      store(values + task.output + static_cast<uint64_t>(at.row[i]) * task.channels + lanes.channel, sum[i]);
}

// The sums that the backward of a gather needs: of its gradient, and of the gradient's product with every input. From
// them come the gradients of edge weights and of the producers' batch norms.
//
// Shapes      gradient, x_e (rows, channels) T; partials (tiles, 1 + edges, channels) f32
// Bytes       rows * channels * (edges + 1) * sizeof(T) + tiles * (1 + edges) * channels * 4
// Flops       rows * channels * (1 + 2 * edges)
// Floor       bytes
struct SumsTask {
  uint64_t gradient;
  uint64_t partials;
  uint32_t first_edge;
  uint32_t edges;
  uint32_t rows;
  uint32_t channels;
  uint32_t rows_per_tile;
  uint32_t reserved;
};

template <typename T>
__device__ __forceinline__ void gather_sums(const Item* items, const SumsTask* tasks, const Edge* edges, float* floats,
                                            const T* values) {
  __shared__ float warps[THREADS / WARP][SLICE];
  Item item = items[blockIdx.x];
  SumsTask task = tasks[item.task];
  uint32_t slices = ceil_div(task.channels, SLICE), tile = item.tile / slices;
  uint32_t first_channel = (item.tile % slices) * SLICE;
  Lanes lanes(first_channel, task.channels, Vector<T>::N);
  Rows at(lanes, tile, task.rows_per_tile, task.rows);
  float* partials = floats + task.partials + static_cast<uint64_t>(tile) * (1 + task.edges) * task.channels;
  Vector<T> gradient[ROWS_A_THREAD];
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++) {
    gradient[i] = Vector<T>::filled(0.f);
    if (at.valid[i])
      gradient[i] = load(values + task.gradient + static_cast<uint64_t>(at.row[i]) * task.channels + lanes.channel);
  }
  for (uint32_t sum = 0; sum <= task.edges; sum++) {
    Vector<T> total = Vector<T>::filled(0.f);
    if (sum == 0) {
#pragma unroll
      for (int i = 0; i < ROWS_A_THREAD; i++) {
#pragma unroll
        for (int c = 0; c < Vector<T>::N; c++) total.v[c] += gradient[i].v[c];
      }
    } else {
      uint64_t value = edges[task.first_edge + sum - 1].value;
#pragma unroll
      for (int i = 0; i < ROWS_A_THREAD; i++)
        if (at.valid[i]) {
          Vector<T> x = load(values + value + static_cast<uint64_t>(at.row[i]) * task.channels + lanes.channel);
#pragma unroll
          for (int c = 0; c < Vector<T>::N; c++) total.v[c] = fmaf(gradient[i].v[c], x.v[c], total.v[c]);
        }
    }
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) total.v[c] = lanes.sum_rows(total.v[c]);
    __syncthreads();
    if (lanes.active && threadIdx.x % WARP < lanes.lanes) store_floats<T>(&warps[threadIdx.x / WARP][lanes.local], total);
    __syncthreads();
    uint32_t channel = first_channel + threadIdx.x;
    if (threadIdx.x < SLICE && channel < task.channels) {
      float all = 0.f;
#pragma unroll
      for (int w = 0; w < THREADS / WARP; w++) all += warps[w][threadIdx.x];
      partials[sum * task.channels + channel] = all;
    }
  }
}

#define DEFINE(T, NAME)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) gather_##NAME(                                                   \
      const Item* __restrict__ items, const GatherTask* __restrict__ tasks, const Edge* __restrict__ edges,              \
      const float* __restrict__ floats, T* values) {                                                                     \
    gather<T>(items, tasks, edges, floats, values);                                                                      \
  }                                                                                                                      \
  extern "C" __global__ void __launch_bounds__(THREADS, 3) gather_sums_##NAME(                                              \
      const Item* __restrict__ items, const SumsTask* __restrict__ tasks, const Edge* __restrict__ edges, float* floats, \
      const T* __restrict__ values) {                                                                                    \
    gather_sums<T>(items, tasks, edges, floats, values);                                                                 \
  }
FOR_EACH_STORAGE(DEFINE)
