// The stem's windows: every output pixel's 3x3 window (padding 1, stride 1 or 2) as a row, so that the stem convolution and
// its gradient are the products of product.cu. Columns are ordered (row, column, channel) and padded with zeros to a
// multiple of 8.
//
//   windows            from normalised f32 images
//   windows_augmented  from the u8 data set on the device: image numbers, crops and flips are the host's (data/batch.rs)
//
// Shapes      images (images, in_height, in_width, channels); output (images, height, width, depth) T
// Bytes       images * (in_height * in_width * channels * 4 or 1 + height * width * depth * sizeof(T)); windows overlap in
//             the caches
// Flops       none
// Floor       bytes written: depth / (out channels) of the stem's output
#include "common.cuh"

struct WindowsTask {
  uint64_t source;  // of floats: the images; augmented: of `chosen`
  uint64_t output;
  uint32_t images;
  uint32_t channels;
  uint32_t in_height;
  uint32_t in_width;
  uint32_t height;
  uint32_t width;
  uint32_t stride;
  uint32_t depth;
};

// An image of the data set and how it is cropped: what `View` says in data/batch.rs.
struct Chosen {
  uint32_t image;
  uint8_t top;
  uint8_t left;
  uint8_t flip;
  uint8_t padding;
};

// One vector of a window a thread; `pixel(image, y, x, channel)` is asked for pixels inside the image only.
template <typename T, typename Pixel>
__device__ __forceinline__ void write_windows(const Item& item, const WindowsTask& task, T* values, Pixel pixel) {
  uint32_t vectors = task.depth / Vector<T>::N;
  uint64_t number = static_cast<uint64_t>(item.tile) * THREADS + threadIdx.x;
  uint64_t row = number / vectors;
  uint32_t column = static_cast<uint32_t>(number % vectors) * Vector<T>::N;
  uint32_t x = static_cast<uint32_t>(row % task.width), y = static_cast<uint32_t>(row / task.width % task.height);
  uint32_t image = static_cast<uint32_t>(row / task.width / task.height);
  if (image >= task.images) return;
  Vector<T> window;
#pragma unroll
  for (int i = 0; i < Vector<T>::N; i++) {
    uint32_t tap = (column + i) / task.channels, channel = (column + i) % task.channels;
    int in_y = static_cast<int>(y * task.stride + tap / 3) - 1, in_x = static_cast<int>(x * task.stride + tap % 3) - 1;
    bool inside = tap < 9 && in_y >= 0 && in_y < static_cast<int>(task.in_height) && in_x >= 0 &&
                  in_x < static_cast<int>(task.in_width);
    window.v[i] = inside ? pixel(image, in_y, in_x, channel) : 0.f;
  }
  store(values + task.output + row * task.depth + column, window);
}

template <typename T>
__device__ __forceinline__ void windows(const Item* items, const WindowsTask* tasks, const float* floats, T* values) {
  Item item = items[blockIdx.x];
  WindowsTask task = tasks[item.task];
  const float* images = floats + task.source;
  write_windows(item, task, values, [&](uint32_t image, int y, int x, uint32_t channel) {
    return images[((static_cast<uint64_t>(image) * task.in_height + y) * task.in_width + x) * task.channels + channel];
  });
}

// `table` (channels, 256) holds the normalised value of every pixel value; pixels beyond the border of a crop are black.
template <typename T>
__device__ __forceinline__ void windows_augmented(const Item* items, const WindowsTask* tasks, const uint8_t* dataset,
                                                  const Chosen* chosen, const float* table, T* values) {
  Item item = items[blockIdx.x];
  WindowsTask task = tasks[item.task];
  write_windows(item, task, values, [&](uint32_t image, int y, int x, uint32_t channel) {
    Chosen from = chosen[task.source + image];
    int in_x = from.flip ? static_cast<int>(task.in_width) - 1 - x : x;
    int in_y = y + from.top - from.padding;
    in_x += from.left - from.padding;
    uint32_t value = 0;
    if (in_y >= 0 && in_y < static_cast<int>(task.in_height) && in_x >= 0 && in_x < static_cast<int>(task.in_width))
      value = dataset[((static_cast<uint64_t>(from.image) * task.in_height + in_y) * task.in_width + in_x) * task.channels + channel];
    return table[channel * 256 + value];
  });
}

#define DEFINE(T, NAME)                                                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS) windows_##NAME(                                                \
      const Item* __restrict__ items, const WindowsTask* __restrict__ tasks, const float* __restrict__ floats,         \
      T* __restrict__ values) {                                                                                        \
    windows<T>(items, tasks, floats, values);                                                                          \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS) windows_augmented_##NAME(                                      \
      const Item* __restrict__ items, const WindowsTask* __restrict__ tasks, const uint8_t* __restrict__ dataset,      \
      const Chosen* __restrict__ chosen, const float* __restrict__ table, T* __restrict__ values) {                    \
    windows_augmented<T>(items, tasks, dataset, chosen, table, values);                                                \
  }
FOR_EACH_STORAGE(DEFINE)
