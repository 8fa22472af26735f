// Dense k x k convolutions (k = 1 to 5, stride 1 or 2) as implicit matrix products: the operand that would be the unfolded
// image is gathered from the image itself while strips are loaded; no unfolded copy exists. 1x1 convolutions of stride 1 are
// plain products (product.cu).
//
//   convolution         Y (pixels, channels) = windows of X * W^T      forward; moments of Y in the epilogue
//   convolution_input   dX (in pixels, in channels) = windows of dY * W
//   convolution_weight  dW (channels, k * k * in channels) = dY^T * windows of X: f32, one partial sum for each split of
//                       the pixels
//
// Shapes      X (images, in_height, in_width, in_channels) T: activated, what join.cu wrote; Y (images, height, width, channels)
//             T; W (channels, k * k, in_channels) T. All channels padded to a multiple of 8, so that a vector lies in one tap
// Bytes       (in pixels * in_channels + pixels * channels + channels * k * k * in_channels) * sizeof(T); a block reads the k * k
//             shifted copies of its rows from the caches. X is read once for each 64 channels of Y
// Flops       2 * pixels * channels * k * k * in_channels
// Floor       flops from about 128 channels on (k * k * channels / 2 multiply-adds a byte in 16-bit storage), bytes below
// Block       64 x 64 of the result, as product.cu. Where a window's vector lies costs one division by the channels for each
//             strip (forward, input) or two by the image's sides for each vector (weight)
#include "matrix.cuh"

struct ConvolutionTask {
  uint64_t input;             // X
  uint64_t gradient;          // of X: written by convolution_input; may lie where X does
  uint64_t output;            // Y, written by convolution
  uint64_t output_gradient;
  uint64_t weight;
  uint64_t weight_gradients;  // (splits, channels, k * k * in_channels)
  uint64_t moments;           // (row tiles, 2, channels) or NONE
  uint32_t images;
  uint32_t in_channels;
  uint32_t in_height;
  uint32_t in_width;
  uint32_t channels;
  uint32_t height;
  uint32_t width;
  uint32_t size;
  uint32_t stride;
  uint32_t shift;
  uint32_t split;             // pixels of a partial sum, a multiple of the strip
  uint32_t reserved;
};

// A pixel of a plane of rows of images; `image` counts pixels before its image.
struct Pixel {
  uint32_t image;
  int y;
  int x;

  __device__ __forceinline__ Pixel() {}
  __device__ __forceinline__ Pixel(uint32_t row, uint32_t height, uint32_t width) {
    uint32_t line = row / width;
    x = static_cast<int>(row % width), y = static_cast<int>(line % height);
    image = line / height;
  }
};

// Which operand is gathered, and from what: FORWARD and WEIGHT windows of the input, INPUT windows of the output's gradient.
template <typename T, Form FORM> struct Windows {
  const T* values;
  uint32_t channels;
  uint32_t size;
  uint32_t stride;
  int border;   // rows above the first window
  int height;
  int width;

  __device__ __forceinline__ Windows(const ConvolutionTask& task, const T* arena) : size(task.size), stride(task.stride) {
    border = static_cast<int>((task.size - 1) / 2) - static_cast<int>(task.shift);
    bool back = FORM == INPUT;
    values = arena + (back ? task.output_gradient : task.input);
    channels = back ? task.channels : task.in_channels;
    height = static_cast<int>(back ? task.height : task.in_height);
    width = static_cast<int>(back ? task.width : task.in_width);
  }

  // The vector of window element `k` (tap, channel) of a pixel of the other side, or null outside the image.
  __device__ __forceinline__ const T* at(const Pixel& pixel, uint32_t tap, uint32_t channel) const {
    int row = static_cast<int>(tap / size), column = static_cast<int>(tap % size), y, x;
    if constexpr (FORM == INPUT) {
      y = pixel.y + border - row, x = pixel.x + border - column;
      if (stride == 2) {
        if ((y | x) & 1) return nullptr;
        y >>= 1, x >>= 1;
      }
    } else {
      y = pixel.y * static_cast<int>(stride) - border + row, x = pixel.x * static_cast<int>(stride) - border + column;
    }
    if (y < 0 || y >= height || x < 0 || x >= width) return nullptr;
    return values + ((static_cast<uint64_t>(pixel.image) * height + y) * width + x) * channels + channel;
  }
};

template <typename T, typename C, Form FORM>
__device__ __forceinline__ void convolution(const Item* items, const ConvolutionTask* tasks, const T* values, const T* weights,
                                            C* c, float* floats) {
  using A = Strip<T, FORM != WEIGHT>;
  using B = Strip<T, FORM == FORWARD>;
  constexpr int STRIPS = (A::SIZE + B::SIZE) * sizeof(T), STAGE = BLOCK * STAGE_PITCH * 4;
  __shared__ __align__(16) unsigned char memory[STRIPS > STAGE ? STRIPS : STAGE];
  __shared__ float halves[2][BLOCK];
  __shared__ ConvolutionTask task;  // not in registers: they are scarce
  T* shared_a = reinterpret_cast<T*>(memory);
  T* shared_b = shared_a + A::SIZE;
  float* stage = reinterpret_cast<float*>(memory);
  Item item = items[blockIdx.x];
  if (threadIdx.x == 0) task = tasks[item.task];
  __syncthreads();
  Windows<T, FORM> windows(task, values);
  uint32_t taps = task.size * task.size, unfolded = taps * task.in_channels;
  uint32_t pixels = task.images * task.height * task.width, in_pixels = task.images * task.in_height * task.in_width;
  uint32_t rows = FORM == FORWARD ? pixels : FORM == INPUT ? in_pixels : task.channels;
  uint32_t columns = FORM == FORWARD ? task.channels : FORM == INPUT ? task.in_channels : unfolded;
  uint32_t depth = FORM == FORWARD ? unfolded : FORM == INPUT ? taps * task.channels : pixels;
  uint32_t column_tiles = ceil_div(columns, BLOCK), row_tiles = ceil_div(rows, BLOCK);
  uint32_t column = item.tile % column_tiles * BLOCK, row_tile = item.tile / column_tiles % row_tiles, row = row_tile * BLOCK;
  uint32_t split = item.tile / column_tiles / row_tiles;
  uint32_t k = FORM == WEIGHT ? split * task.split : 0, end = FORM == WEIGHT ? min(depth, k + task.split) : depth;
  const T* weight = weights + task.weight;
  const T* gradient = values + task.output_gradient;
  A next_a;
  B next_b;
  // Forward and input: the pixels of the thread's rows. Weight: tap and channel of the thread's columns.
  Pixel pixel[A::VECTORS];
  uint32_t tap = 0, channel = 0;
  if constexpr (FORM == WEIGHT) {
    uint32_t at = column + threadIdx.x % (B::INNER / B::N) * B::N;
    tap = at / task.in_channels, channel = at % task.in_channels;
  } else {
#pragma unroll
    for (int i = 0; i < A::VECTORS; i++) {
      uint32_t of_thread = row + (threadIdx.x + i * PRODUCT_THREADS) / (A::INNER / A::N);
      pixel[i] = FORM == FORWARD ? Pixel(of_thread, task.height, task.width) : Pixel(of_thread, task.in_height, task.in_width);
    }
  }
  auto load = [&](uint32_t k) {
    if constexpr (FORM == WEIGHT) {
      next_a.load(gradient, k, end, row, rows, rows);
      next_b.gather([&](int, uint32_t r, uint32_t) -> const T* {
        if (k + r >= end || tap >= taps) return nullptr;
        return windows.at(Pixel(k + r, task.height, task.width), tap, channel);
      });
    } else {
      uint32_t at = k + threadIdx.x % (A::INNER / A::N) * A::N, tap = at / windows.channels, channel = at % windows.channels;
      next_a.gather([&](int i, uint32_t r, uint32_t) -> const T* {
        return row + r < rows && tap < taps ? windows.at(pixel[i], tap, channel) : nullptr;
      });
      if constexpr (FORM == FORWARD)
        next_b.load(weight, column, columns, k, end, depth);
      else
        next_b.gather([&](int, uint32_t r, uint32_t in_row) -> const T* {
          uint32_t tap = (k + r) / task.channels, out = (k + r) % task.channels;
          if (tap >= taps || column + in_row >= columns) return nullptr;
          return weight + static_cast<uint64_t>(out) * unfolded + tap * task.in_channels + column + in_row;
        });
    }
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
  if constexpr (FORM == FORWARD) c += task.output;
  if constexpr (FORM == INPUT) c += task.gradient;
  if constexpr (FORM == WEIGHT) c += task.weight_gradients + static_cast<uint64_t>(split) * rows * columns;
  write_block(stage, c, rows, columns, row, column);
  if constexpr (FORM == FORWARD) {
    if (task.moments != NONE)
      write_moments<T>(stage, halves, floats + task.moments + static_cast<uint64_t>(row_tile) * 2 * columns,
                       min(static_cast<uint32_t>(BLOCK), rows - row), columns, column);
  }
}

#define DEFINE(T, NAME)                                                                                                      \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) convolution_##NAME(                                       \
      const Item* __restrict__ items, const ConvolutionTask* __restrict__ tasks, T* values, const T* __restrict__ weights,   \
      float* __restrict__ floats) {                                                                                          \
    convolution<T, T, FORWARD>(items, tasks, values, weights, values, floats);                                               \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) convolution_input_##NAME(                                 \
      const Item* __restrict__ items, const ConvolutionTask* __restrict__ tasks, T* values, const T* __restrict__ weights) { \
    convolution<T, T, INPUT>(items, tasks, values, weights, values, nullptr);                                                \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 4) convolution_weight_##NAME(                                \
      const Item* __restrict__ items, const ConvolutionTask* __restrict__ tasks, const T* __restrict__ values,               \
      float* __restrict__ floats) {                                                                                          \
    convolution<T, float, WEIGHT>(items, tasks, values, nullptr, floats, nullptr);                                           \
  }
FOR_EACH_STORAGE(DEFINE)
