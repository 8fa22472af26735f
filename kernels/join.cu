// Joining inputs that are activated one by one: y = sum_e act_e(x_e), where act is batch norm and perhaps ReLU and every input
// covers a range of y's channels with its own first ones: a sum has inputs that cover all, a concatenation inputs one after the
// other (at channels that need not be multiples of a vector: those are read number by number).
//
//   join       the input of a convolution or pooling, a sum or a concatenation; moments of a sum that is normalised
//   join_back  the gradient of a value from those of everything that joined it: sum_e of ranges of their channels, through the
//              value's ReLU; and the channel sums that its batch norm's backward wants (normalise.cu, output_gradient), after
//              which gather.cu forms the raw value's gradient
//
// Shapes      x_e (rows, leading_e) T, y (rows, channels) T; norms (2, leading_e) f32: scale, shift
// Bytes       join: rows * (sum_e count_e + channels) * sizeof(T); join_back: the same and the value once, where it is normalised
// Flops       3 for each element read, and 3 for each summed
// Floor       bytes
// Block       one slice of 32 channels by `rows_per_tile` rows; 4 rows a thread
#include "common.cuh"

constexpr int ROWS_A_THREAD = 4;
constexpr int WARPS = THREADS / WARP;

// A range of channels that is read.
struct JoinEdge {
  uint64_t value;    // (rows, leading)
  uint64_t norm;     // (2, leading) floats or NONE: read as it is
  uint32_t leading;
  uint32_t from;     // first channel that is read
  uint32_t to;       // channel of the result that it is for
  uint32_t count;
  uint32_t relu;
  uint32_t reserved;
};

struct JoinTask {
  uint64_t output;
  uint64_t sums;   // join: moments, (tiles, 2, channels) floats: sum, squared deviations from the tile's mean; NONE: not wanted
                   // join_back: sum of the gradient, of its product with the value
  uint64_t value;  // join_back: the value whose gradient it is
  uint64_t norm;   // join_back: (2, channels) floats of the value or NONE: it has no batch norm
  uint32_t first_edge;
  uint32_t edges;
  uint32_t rows;
  uint32_t channels;
  uint32_t rows_per_tile;
  uint32_t relu;   // join_back: whether the value has one
};

__device__ __forceinline__ float number(const float* from) { return *from; }
__device__ __forceinline__ float number(const __half* from) { return __half2float(*from); }
__device__ __forceinline__ float number(const __nv_bfloat16* from) { return __bfloat162float(*from); }

// What a thread sums: 4 rows of a vector of channels.
template <typename T> struct Part {
  static constexpr int N = Vector<T>::N;
  Vector<T> sum[ROWS_A_THREAD];
  uint32_t row[ROWS_A_THREAD];
  bool valid[ROWS_A_THREAD];

  __device__ __forceinline__ Part(const Lanes& lanes, uint32_t tile, const JoinTask& task) {
    uint32_t first = tile * task.rows_per_tile, end = min(first + task.rows_per_tile, task.rows);
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++) {
      row[i] = first + lanes.row + i * lanes.rows;
      valid[i] = lanes.active && row[i] < end;
      sum[i] = Vector<T>::filled(0.f);
    }
  }

  // Channels that begin on a vector.
  __device__ __forceinline__ void add_vectors(const JoinEdge& edge, uint32_t at, uint32_t left, const float* floats,
                                              const T* values) {
    Vector<T> scale = Vector<T>::filled(1.f), shift = Vector<T>::filled(0.f);
    if (edge.norm != NONE) {
      scale = load_floats<T>(floats + edge.norm + at);
      shift = load_floats<T>(floats + edge.norm + edge.leading + at);
    }
    Vector<T> x[ROWS_A_THREAD];
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++)
      if (valid[i]) x[i] = load(values + edge.value + static_cast<uint64_t>(row[i]) * edge.leading + at);
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++)
      if (valid[i]) {
#pragma unroll
        for (int c = 0; c < N; c++) {
          float y = fmaf(x[i].v[c], scale.v[c], shift.v[c]);
          y = edge.relu ? relu(y) : y;
          sum[i].v[c] += c < left ? y : 0.f;
        }
      }
  }

  // Channels that do not.
  __device__ __forceinline__ void add_numbers(const JoinEdge& edge, int at, const float* floats, const T* values) {
#pragma unroll
    for (int c = 0; c < N; c++) {
      int of_range = at + c;
      if (of_range < 0 || of_range >= static_cast<int>(edge.count)) continue;
      uint32_t channel = edge.from + of_range;
      float scale = edge.norm == NONE ? 1.f : floats[edge.norm + channel];
      float shift = edge.norm == NONE ? 0.f : floats[edge.norm + edge.leading + channel];
#pragma unroll
      for (int i = 0; i < ROWS_A_THREAD; i++)
        if (valid[i]) {
          float y = fmaf(number(values + edge.value + static_cast<uint64_t>(row[i]) * edge.leading + channel), scale, shift);
          sum[i].v[c] += edge.relu ? relu(y) : y;
        }
    }
  }

  __device__ __forceinline__ void add(const JoinTask& task, const JoinEdge* edges, uint32_t channel, const float* floats,
                                      const T* values) {
    for (uint32_t e = 0; e < task.edges; e++) {
      JoinEdge edge = edges[task.first_edge + e];
      int at = static_cast<int>(channel) - static_cast<int>(edge.to);
      if (at <= -N || at >= static_cast<int>(edge.count)) continue;
      if ((edge.from | edge.to) % N == 0)
        add_vectors(edge, edge.from + at, edge.count - at, floats, values);
      else
        add_numbers(edge, at, floats, values);
    }
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++) {
#pragma unroll
      for (int c = 0; c < N; c++) sum[i].v[c] = rounded(sum[i].v[c], T());
    }
  }

  __device__ __forceinline__ void write(const JoinTask& task, uint32_t channel, T* values) const {
#pragma unroll
    for (int i = 0; i < ROWS_A_THREAD; i++)
      if (valid[i]) store(values + task.output + static_cast<uint64_t>(row[i]) * task.channels + channel, sum[i]);
  }
};

// The sum over the block's threads that have the same channels, in all of them; the order is fixed.
template <typename T>
__device__ __forceinline__ Vector<T> block_sum(float (&warps)[WARPS][SLICE], const Lanes& lanes, Vector<T> x) {
#pragma unroll
  for (int c = 0; c < Vector<T>::N; c++) x.v[c] = lanes.sum_rows(x.v[c]);
  __syncthreads();
  if (lanes.active && threadIdx.x % WARP < lanes.lanes) store_floats<T>(&warps[threadIdx.x / WARP][lanes.local], x);
  __syncthreads();
  Vector<T> total = Vector<T>::filled(0.f);
  if (!lanes.active) return total;
#pragma unroll
  for (int w = 0; w < WARPS; w++) {
    x = load_floats<T>(&warps[w][lanes.local]);
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) total.v[c] += x.v[c];
  }
  return total;
}

// Writes two sums of a tile, (2, channels).
template <typename T>
__device__ __forceinline__ void write_sums(const JoinTask& task, const Lanes& lanes, uint32_t tile, const Vector<T>& first,
                                           const Vector<T>& second, float* floats) {
  if (threadIdx.x >= lanes.lanes || !lanes.active) return;
  float* to = floats + task.sums + static_cast<uint64_t>(tile) * 2 * task.channels + lanes.channel;
  store_floats<T>(to, first);
  store_floats<T>(to + task.channels, second);
}

template <typename T>
__device__ __forceinline__ void join(const Item* items, const JoinTask* tasks, const JoinEdge* edges, float* floats, T* values) {
  __shared__ __align__(16) float warps[WARPS][SLICE];
  Item item = items[blockIdx.x];
  JoinTask task = tasks[item.task];
  uint32_t slices = ceil_div(task.channels, SLICE), tile = item.tile / slices;
  Lanes lanes((item.tile % slices) * SLICE, task.channels, Vector<T>::N);
  Part<T> part(lanes, tile, task);
  part.add(task, edges, lanes.channel, floats, values);
  part.write(task, lanes.channel, values);
  if (task.sums == NONE) return;
  Vector<T> sum = Vector<T>::filled(0.f);
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++) {
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) sum.v[c] += part.sum[i].v[c];
  }
  sum = block_sum<T>(warps, lanes, sum);
  float count = static_cast<float>(min(task.rows_per_tile, task.rows - tile * task.rows_per_tile));
  Vector<T> deviations = Vector<T>::filled(0.f);
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++)
    if (part.valid[i]) {
#pragma unroll
      for (int c = 0; c < Vector<T>::N; c++) {
        float deviation = part.sum[i].v[c] - sum.v[c] / count;
        deviations.v[c] = fmaf(deviation, deviation, deviations.v[c]);
      }
    }
  deviations = block_sum<T>(warps, lanes, deviations);
  write_sums<T>(task, lanes, tile, sum, deviations, floats);
}

template <typename T>
__device__ __forceinline__ void join_back(const Item* items, const JoinTask* tasks, const JoinEdge* edges, float* floats,
                                          T* values) {
  __shared__ __align__(16) float warps[WARPS][SLICE];
  Item item = items[blockIdx.x];
  JoinTask task = tasks[item.task];
  uint32_t slices = ceil_div(task.channels, SLICE), tile = item.tile / slices;
  Lanes lanes((item.tile % slices) * SLICE, task.channels, Vector<T>::N);
  Part<T> part(lanes, tile, task);
  part.add(task, edges, lanes.channel, floats, values);
  if (task.norm == NONE) {
    part.write(task, lanes.channel, values);
    return;
  }
  Vector<T> scale = Vector<T>::filled(0.f), shift = scale, sum = scale, product = scale;
  if (lanes.active) {
    scale = load_floats<T>(floats + task.norm + lanes.channel);
    shift = load_floats<T>(floats + task.norm + task.channels + lanes.channel);
  }
#pragma unroll
  for (int i = 0; i < ROWS_A_THREAD; i++)
    if (part.valid[i]) {
      Vector<T> x = load(values + task.value + static_cast<uint64_t>(part.row[i]) * task.channels + lanes.channel);
#pragma unroll
      for (int c = 0; c < Vector<T>::N; c++) {
        bool passes = !task.relu || relu(fmaf(x.v[c], scale.v[c], shift.v[c])) != 0.f;
        float gradient = passes ? part.sum[i].v[c] : 0.f;
        part.sum[i].v[c] = gradient;
        sum.v[c] += gradient;
        product.v[c] = fmaf(gradient, x.v[c], product.v[c]);
      }
    }
  part.write(task, lanes.channel, values);
  sum = block_sum<T>(warps, lanes, sum);
  product = block_sum<T>(warps, lanes, product);
  write_sums<T>(task, lanes, tile, sum, product, floats);
}

#define DEFINE(T, NAME)                                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) join_##NAME(                                                \
      const Item* __restrict__ items, const JoinTask* __restrict__ tasks, const JoinEdge* __restrict__ edges,          \
      float* floats, T* values) {                                                                                      \
    join<T>(items, tasks, edges, floats, values);                                                                      \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS, 2) join_back_##NAME(                                           \
      const Item* __restrict__ items, const JoinTask* __restrict__ tasks, const JoinEdge* __restrict__ edges,          \
      float* floats, T* values) {                                                                                      \
    join_back<T>(items, tasks, edges, floats, values);                                                                 \
  }
FOR_EACH_STORAGE(DEFINE)
