// Dense products of the graph generator, in f32: linear layers, their gradients, and products of weights.
//
//   dense              C (rows, columns) = act(A (rows, depth) * B (columns, depth)^T + bias)
//   dense_input        C (rows, columns) = (C +) A (rows, depth) * B (depth, columns), where the mask is positive
//   dense_weight       C (rows, columns) = A (depth, rows)^T * B (depth, columns), one partial sum for each split of the
//                      depth; with the column sums of A: the gradient of a bias
//
// All operands lie in one arena, with leading dimensions of their own, multiples of 4; columns and depths are multiples of 4.
// A bias may be a table of which every row of C takes the row that a list says: node numbers.
//
// Bytes       4 * (rows * depth + columns * depth + rows * columns); A is read once for each 64 columns
// Flops       2 * rows * columns * depth
// Floor       flops: for 4096 rows of 128 by 128, 134 Mflop against 4.3 MB, 2 us each at 67 Tflop/s and 2 TB/s
// Block       64 x 64 of C; the next strip of A and B is loaded to registers while the one in shared memory is multiplied
#include "generator.cuh"
#include "tiles.cuh"

struct DenseTask {
  uint64_t a;
  uint64_t b;
  uint64_t c;
  uint64_t bias;          // dense: (bias_columns) or a table; dense_weight: (splits, rows); or NONE
  uint64_t mask;          // dense_input: (rows, columns) or NONE
  uint32_t a_pitch;
  uint32_t b_pitch;
  uint32_t c_pitch;       // dense_weight: not used, its columns
  uint32_t mask_pitch;
  uint32_t rows;          // the most
  uint32_t columns;
  uint32_t depth;         // dense_weight: the most
  uint32_t live;          // which count of the batch bounds the rows, or dense_weight's depth
  uint32_t bias_columns;  // dense: of C, from the first on
  uint32_t bias_rows;     // dense: list of each row's row of the table, or NO_LIST
  uint32_t split;         // dense_weight: of the depth, a multiple of the strip
  uint32_t flags;
};

constexpr uint32_t RECTIFY = 1;     // dense
constexpr uint32_t ACCUMULATE = 2;  // dense_input

// Four numbers of C, with what comes after the product.
template <Form FORM>
__device__ __forceinline__ void finish(const DenseTask& task, const uint32_t* indices, float* floats, uint32_t row,
                                       uint32_t column, Vector<float> x) {
  float* to = floats + task.c + static_cast<uint64_t>(row) * task.c_pitch + column;
  if constexpr (FORM == FORWARD) {
    if (task.bias != NONE && column < task.bias_columns) {
      uint32_t line = task.bias_rows == NO_LIST ? 0 : indices[task.bias_rows + row];
      Vector<float> bias = load(floats + task.bias + static_cast<uint64_t>(line) * task.bias_columns + column);
#pragma unroll
      for (int i = 0; i < 4; i++) x.v[i] += bias.v[i];
    }
    if (task.flags & RECTIFY) {
#pragma unroll
      for (int i = 0; i < 4; i++) x.v[i] = relu(x.v[i]);
    }
  }
  if constexpr (FORM == INPUT) {
    if (task.flags & ACCUMULATE) {
      Vector<float> before = load(to);
#pragma unroll
      for (int i = 0; i < 4; i++) x.v[i] += before.v[i];
    }
    if (task.mask != NONE) {
      Vector<float> mask = load(floats + task.mask + static_cast<uint64_t>(row) * task.mask_pitch + column);
#pragma unroll
      for (int i = 0; i < 4; i++) x.v[i] = mask.v[i] > 0.f ? x.v[i] : 0.f;
    }
  }
  store(to, x);
}

template <Form FORM>
__device__ __forceinline__ void multiply_block(const Item* items, const DenseTask* tasks, const uint32_t* indices, float* floats) {
  using A = Strip<float, FORM != WEIGHT>;
  using B = Strip<float, FORM == FORWARD>;
  constexpr int STRIPS = A::SIZE + B::SIZE, STAGE = BLOCK * STAGE_PITCH;
  __shared__ __align__(16) float memory[STRIPS > STAGE ? STRIPS : STAGE];
  float *shared_a = memory, *shared_b = memory + A::SIZE;
  Item item = items[blockIdx.x];
  DenseTask task = tasks[item.task];
  uint32_t column_tiles = ceil_div(task.columns, BLOCK), row_tiles = ceil_div(task.rows, BLOCK);
  uint32_t column = item.tile % column_tiles * BLOCK, row = item.tile / column_tiles % row_tiles * BLOCK;
  uint32_t split = item.tile / column_tiles / row_tiles;
  uint32_t rows = FORM == WEIGHT ? task.rows : live(indices, task.live, task.rows);
  uint32_t depth = FORM == WEIGHT ? live(indices, task.live, task.depth) : task.depth;
  uint32_t k = FORM == WEIGHT ? split * task.split : 0, end = FORM == WEIGHT ? min(depth, k + task.split) : depth;
  if (row >= rows || (FORM == WEIGHT && k >= depth)) return;
  const float* a = floats + task.a;
  const float* b = floats + task.b;
  A next_a;
  B next_b;
  auto load_strips = [&](uint32_t k) {
    if constexpr (FORM == WEIGHT)
      next_a.load(a, k, end, row, rows, task.a_pitch);
    else
      next_a.load(a, row, rows, k, end, task.a_pitch);
    if constexpr (FORM == FORWARD)
      next_b.load(b, column, task.columns, k, end, task.b_pitch);
    else
      next_b.load(b, k, end, column, task.columns, task.b_pitch);
  };
  Multiplier<float, FORM != WEIGHT, FORM == FORWARD> block;
  bool sums_bias = FORM == WEIGHT && task.bias != NONE && column == 0 && threadIdx.x < BLOCK;
  float bias = 0.f;
  load_strips(k);
  while (k < end) {
    next_a.put(shared_a);
    next_b.put(shared_b);
    __syncthreads();
    k += STRIP<float>;
    if (k < end) load_strips(k);
    block.strip(shared_a, shared_b);
    if (sums_bias) {
#pragma unroll
      for (int i = 0; i < STRIP<float>; i++) bias += shared_a[i * A::PITCH + threadIdx.x];
    }
    __syncthreads();
  }
  if (sums_bias && row + threadIdx.x < rows) floats[task.bias + static_cast<uint64_t>(split) * rows + row + threadIdx.x] = bias;
  block.stage(memory);
  __syncthreads();
  if constexpr (FORM == WEIGHT) {
    task.c += static_cast<uint64_t>(split) * rows * task.columns;
    task.c_pitch = task.columns;
  }
  for (uint32_t number = threadIdx.x; number < BLOCK * BLOCK / 4; number += PRODUCT_THREADS) {
    uint32_t y = number / (BLOCK / 4), x = number % (BLOCK / 4) * 4;
    if (row + y < rows && column + x < task.columns)
      finish<FORM>(task, indices, floats, row + y, column + x, load(memory + y * STAGE_PITCH + x));
  }
}

#define DEFINE_DENSE(NAME, FORM)                                                                                           \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) NAME(const Item* __restrict__ items,                    \
                                                                        const DenseTask* __restrict__ tasks,               \
                                                                        const uint32_t* __restrict__ indices, float* floats) { \
    multiply_block<FORM>(items, tasks, indices, floats);                                                                            \
  }
DEFINE_DENSE(dense, FORWARD)
DEFINE_DENSE(dense_input, INPUT)
DEFINE_DENSE(dense_weight, WEIGHT)
