// Matrix products: the pointwise 1x1 convolution, its two gradients, the stem (on windows), the classifier.
//
//   product            C (rows, columns) = A (rows, depth) * B (columns, depth)^T     forward; moments of C in the epilogue
//   product_input      C (rows, columns) = A (rows, depth) * B (depth, columns)       gradient of A's rows
//   product_weight     C (rows, columns) = A (depth, rows)^T * B (depth, columns)     gradient of the weight: f32, one partial
//                                                                                     sum for each split of the depth
//
// Storage T with f32 accumulation. 16-bit storage multiplies on tensor cores (mma.sync m16n8k16), f32 with f32 FMAs.
// All leading dimensions are the padded ones, multiples of 8.
//
// Bytes       (rows * depth + columns * depth + rows * columns) * sizeof(T); A is read once for each 64 columns
// Flops       2 * rows * columns * depth
// Floor       bytes, for the channel counts of RandWire (16 to 312): columns * depth / (columns + depth) flops a byte
// Block       64 x 64 of C; the next strip of A and B is loaded to registers while the one in shared memory is multiplied
// Moments     of the stored C, for each 64 rows: (sum, sum of squared deviations from the tile's own mean), which does
//             not cancel; merged by normalise.cu
#include "matrix.cuh"

struct ProductTask {
  uint64_t a;
  uint64_t b;
  uint64_t c;
  uint64_t moments;  // (row tiles, 2, columns) or NONE
  uint32_t rows;
  uint32_t columns;
  uint32_t depth;
  uint32_t split;    // of the depth, a multiple of the strip; product_weight only
};

template <typename T, typename C, Form FORM>
__device__ __forceinline__ void product(const Item* items, const ProductTask* tasks, const T* a_arena, const T* b_arena,
                                        C* c_arena, float* floats) {
  using A = Strip<T, FORM != WEIGHT>;
  using B = Strip<T, FORM == FORWARD>;
  constexpr int STRIPS = (A::SIZE + B::SIZE) * sizeof(T), STAGE = BLOCK * STAGE_PITCH * 4;
  __shared__ __align__(16) unsigned char memory[STRIPS > STAGE ? STRIPS : STAGE];
  __shared__ float halves[2][BLOCK];
  T* shared_a = reinterpret_cast<T*>(memory);
  T* shared_b = shared_a + A::SIZE;
  float* stage = reinterpret_cast<float*>(memory);
  Item item = items[blockIdx.x];
  ProductTask task = tasks[item.task];
  uint32_t column_tiles = ceil_div(task.columns, BLOCK), row_tiles = ceil_div(task.rows, BLOCK);
  uint32_t column = item.tile % column_tiles * BLOCK, row_tile = item.tile / column_tiles % row_tiles, row = row_tile * BLOCK;
  uint32_t split = item.tile / column_tiles / row_tiles;
  uint32_t k = FORM == WEIGHT ? split * task.split : 0, end = FORM == WEIGHT ? min(task.depth, k + task.split) : task.depth;
  const T* a = a_arena + task.a;
  const T* b = b_arena + task.b;
  A next_a;
  B next_b;
  auto load = [&](uint32_t k) {
    if constexpr (FORM == WEIGHT)
      next_a.load(a, k, end, row, task.rows, task.rows);
    else
      next_a.load(a, row, task.rows, k, end, task.depth);
    if constexpr (FORM == FORWARD)
      next_b.load(b, column, task.columns, k, end, task.depth);
    else
      next_b.load(b, k, end, column, task.columns, task.columns);
  };
  Multiplier<T, FORM != WEIGHT, FORM == FORWARD> block;
  load(k);
  while (k < end) {
    next_a.put(shared_a);
    next_b.put(shared_b);
    __syncthreads();
    k += STRIP<T>;
    if (k < end) load(k);
    block.strip(shared_a, shared_b);
    __syncthreads();
  }
  block.stage(stage);
  __syncthreads();
  C* c = c_arena + task.c;
  if constexpr (FORM == WEIGHT) c += static_cast<uint64_t>(split) * task.rows * task.columns;
  write_block(stage, c, task.rows, task.columns, row, column);
  if constexpr (FORM == FORWARD) {
    if (task.moments != NONE)
      write_moments<T>(stage, halves, floats + task.moments + static_cast<uint64_t>(row_tile) * 2 * task.columns,
                       min(static_cast<uint32_t>(BLOCK), task.rows - row), task.columns, column);
  }
}

#define DEFINE(T, NAME)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) product_##NAME(                                         \
      const Item* __restrict__ items, const ProductTask* __restrict__ tasks, const T* a, const T* __restrict__ b, T* c,    \
      float* __restrict__ floats) {                                                                                        \
    product<T, T, FORWARD>(items, tasks, a, b, c, floats);                                                                 \
  }                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) product_input_##NAME(                                   \
      const Item* __restrict__ items, const ProductTask* __restrict__ tasks, const T* a, const T* __restrict__ b, T* c) {  \
    product<T, T, INPUT>(items, tasks, a, b, c, nullptr);                                                                  \
  }                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) product_weight_##NAME(                                  \
      const Item* __restrict__ items, const ProductTask* __restrict__ tasks, const T* a, const T* b, float* c) {           \
    product<T, float, WEIGHT>(items, tasks, a, b, c, nullptr);                                                             \
  }
FOR_EACH_STORAGE(DEFINE)
