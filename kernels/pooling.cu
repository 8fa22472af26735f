// Average and max pooling over k x k windows, and the way back. What lies outside the image counts for nothing; the gradient of
// a largest goes to the first largest of its window, row by row, whose place the forward writes down.
//
//   pool_windows       x (images, in_height, in_width, channels) T -> y (images, height, width, channels) T, and for max pooling
//                      which tap it was, the same shape, as a number of T
//   pool_windows_back  gradient of y -> gradient of x; x itself is not read, and may be overwritten
//
// Bytes       forward: (in pixels + pixels (max: * 2)) * channels * sizeof(T); back: as many; windows overlap in the caches
// Flops       images * height * width * channels * k * k
// Floor       bytes
// Block       256 vectors of channels, one a thread, of outputs or of inputs
#include "common.cuh"

struct PoolingTask {
  uint64_t input;
  uint64_t output;
  uint64_t chosen;           // the tap of the largest, or NONE: the average
  uint64_t gradient;         // of the input
  uint64_t output_gradient;
  uint32_t images;
  uint32_t channels;
  uint32_t in_height;
  uint32_t in_width;
  uint32_t height;
  uint32_t width;
  uint32_t size;
  uint32_t stride;
  uint32_t shift;
  uint32_t reserved;
};

// A vector of a pixel.
struct Place {
  uint32_t image;
  int y;
  int x;
  uint32_t channel;

  __device__ __forceinline__ Place(uint64_t number, uint32_t vectors, uint32_t width_of_vector, uint32_t height, uint32_t width) {
    channel = static_cast<uint32_t>(number % vectors) * width_of_vector;
    uint32_t pixel = static_cast<uint32_t>(number / vectors), line = pixel / width;
    x = static_cast<int>(pixel % width), y = static_cast<int>(line % height), image = line / height;
  }
};

__device__ __forceinline__ uint64_t element(uint32_t image, int y, int x, uint32_t height, uint32_t width, uint32_t channels) {
  return ((static_cast<uint64_t>(image) * height + y) * width + x) * channels;
}

// Rows (or columns) of an output's window inside the image.
__device__ __forceinline__ int inside(int first, int size, int length) { return min(first + size, length) - max(first, 0); }

template <typename T>
__device__ __forceinline__ void pool_windows(const Item* items, const PoolingTask* tasks, T* values) {
  Item item = items[blockIdx.x];
  PoolingTask task = tasks[item.task];
  Place at(static_cast<uint64_t>(item.tile) * THREADS + threadIdx.x, task.channels / Vector<T>::N, Vector<T>::N, task.height,
           task.width);
  if (at.image >= task.images) return;
  int size = static_cast<int>(task.size), border = (size - 1) / 2 - static_cast<int>(task.shift);
  int first_y = at.y * static_cast<int>(task.stride) - border, first_x = at.x * static_cast<int>(task.stride) - border;
  bool largest = task.chosen != NONE;
  Vector<T> result = Vector<T>::filled(0.f), chosen = Vector<T>::filled(-1.f);
  for (int row = 0; row < size; row++) {
    int y = first_y + row;
    if (y < 0 || y >= static_cast<int>(task.in_height)) continue;
    for (int column = 0; column < size; column++) {
      int x = first_x + column;
      if (x < 0 || x >= static_cast<int>(task.in_width)) continue;
      Vector<T> value =
          load(values + task.input + element(at.image, y, x, task.in_height, task.in_width, task.channels) + at.channel);
      float tap = static_cast<float>(row * size + column);
#pragma unroll
      for (int c = 0; c < Vector<T>::N; c++) {
        if (!largest) {
          result.v[c] += value.v[c];
        } else if (chosen.v[c] < 0.f || (!(value.v[c] <= result.v[c]) && result.v[c] == result.v[c])) {
          // What is no number wins and stays.
          result.v[c] = value.v[c], chosen.v[c] = tap;
        }
      }
    }
  }
  uint64_t to = element(at.image, at.y, at.x, task.height, task.width, task.channels) + at.channel;
  if (largest) {
    store(values + task.chosen + to, chosen);
  } else {
    int count = inside(first_y, size, task.in_height) * inside(first_x, size, task.in_width);
    float share = 1.f / static_cast<float>(count);
#pragma unroll
    for (int c = 0; c < Vector<T>::N; c++) result.v[c] *= share;
  }
  store(values + task.output + to, result);
}

template <typename T>
__device__ __forceinline__ void pool_windows_back(const Item* items, const PoolingTask* tasks, T* values) {
  Item item = items[blockIdx.x];
  PoolingTask task = tasks[item.task];
  Place at(static_cast<uint64_t>(item.tile) * THREADS + threadIdx.x, task.channels / Vector<T>::N, Vector<T>::N, task.in_height,
           task.in_width);
  if (at.image >= task.images) return;
  int size = static_cast<int>(task.size), stride = static_cast<int>(task.stride);
  int border = (size - 1) / 2 - static_cast<int>(task.shift);
  bool largest = task.chosen != NONE;
  Vector<T> sum = Vector<T>::filled(0.f);
  for (int row = 0; row < size; row++) {
    int y = at.y + border - row;
    if (y < 0 || y % stride != 0 || y / stride >= static_cast<int>(task.height)) continue;
    y /= stride;
    for (int column = 0; column < size; column++) {
      int x = at.x + border - column;
      if (x < 0 || x % stride != 0 || x / stride >= static_cast<int>(task.width)) continue;
      x /= stride;
      uint64_t from = element(at.image, y, x, task.height, task.width, task.channels) + at.channel;
      Vector<T> gradient = load(values + task.output_gradient + from);
      if (largest) {
        Vector<T> chosen = load(values + task.chosen + from);
        float tap = static_cast<float>(row * size + column);
#pragma unroll
        for (int c = 0; c < Vector<T>::N; c++) sum.v[c] += chosen.v[c] == tap ? gradient.v[c] : 0.f;
      } else {
        int count = inside(y * stride - border, size, task.in_height) * inside(x * stride - border, size, task.in_width);
        float share = 1.f / static_cast<float>(count);
#pragma unroll
        for (int c = 0; c < Vector<T>::N; c++) sum.v[c] = fmaf(gradient.v[c], share, sum.v[c]);
      }
    }
  }
  store(values + task.gradient + element(at.image, at.y, at.x, task.in_height, task.in_width, task.channels) + at.channel, sum);
}

#define DEFINE(T, NAME)                                                                                          \
  extern "C" __global__ void __launch_bounds__(THREADS, 4) pool_windows_##NAME(                                  \
      const Item* __restrict__ items, const PoolingTask* __restrict__ tasks, T* values) {                        \
    pool_windows<T>(items, tasks, values);                                                                       \
  }                                                                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS, 4) pool_windows_back_##NAME(                             \
      const Item* __restrict__ items, const PoolingTask* __restrict__ tasks, T* values) {                        \
    pool_windows_back<T>(items, tasks, values);                                                                  \
  }
FOR_EACH_STORAGE(DEFINE)
