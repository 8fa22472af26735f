// Batch norm's arithmetic between the kernels that carry values: a few thousand numbers, one launch a level.
//
//   normalise         moments of a raw output -> scale, shift, running statistics; writes the coefficients of all gathers
//                     that read the output: weight_e * (scale, shift)
//   output_gradient   channel sums of the consumers -> gradients of gamma, beta and edge logits; writes the coefficients
//                     of the gather that forms the raw output's gradient, which is affine in the consumers' gradients and
//                     in the raw output (Ioffe & Szegedy 2015)
//
// Bytes       those of the partial sums; flops as many; floor: the launch
#include "common.cuh"

constexpr int ROWS = THREADS / SLICE;  // partial sums of a channel that a block adds up at a time
constexpr float EPSILON = 1e-5f;

// A gather that reads the output.
struct Reader {
  uint64_t coefficients;  // (2, channels)
  uint64_t logit;         // in the arena of parameters, or NONE: `weight` holds
  float weight;
  uint32_t reserved;
};

struct NormTask {
  uint64_t moments;  // (tiles, 2, channels): sum, sum of squared deviations from the tile's mean
  uint64_t norm;     // (4, channels): scale, shift, mean, 1 / deviation; written
  uint64_t gamma;    // NONE: the output is read as it is
  uint64_t beta;
  uint64_t running_mean;
  uint64_t running_variance;
  uint32_t rows;
  uint32_t rows_per_tile;
  uint32_t channels;
  uint32_t first_reader;
  uint32_t readers;
  uint32_t reserved;
};

__device__ __forceinline__ float weight_of(const Reader& reader, const float* parameters) {
  return reader.logit == NONE ? reader.weight : sigmoid(parameters[reader.logit]);
}

// The sum over the block's rows for each of its channels, in all of them; the order is fixed.
__device__ __forceinline__ float sum_over_rows(float (&shared)[ROWS][SLICE], float value) {
  __syncthreads();
  shared[threadIdx.x / SLICE][threadIdx.x % SLICE] = value;
  __syncthreads();
  float sum = 0.f;
#pragma unroll
  for (int row = 0; row < ROWS; row++) sum += shared[row][threadIdx.x % SLICE];
  return sum;
}

// Mean and biased variance of a channel from the moments of the tiles: no difference of large numbers anywhere.
__device__ __forceinline__ float2 merge_moments(float (&shared)[ROWS][SLICE], const float* moments, const NormTask& task,
                                                uint32_t channel, bool active) {
  uint32_t tiles = ceil_div(task.rows, task.rows_per_tile);
  float sum = 0.f;
  for (uint32_t tile = threadIdx.x / SLICE; active && tile < tiles; tile += ROWS)
    sum += moments[static_cast<uint64_t>(tile) * 2 * task.channels + channel];
  float mean = sum_over_rows(shared, sum) / static_cast<float>(task.rows), deviations = 0.f;
  for (uint32_t tile = threadIdx.x / SLICE; active && tile < tiles; tile += ROWS) {
    const float* of_tile = moments + static_cast<uint64_t>(tile) * 2 * task.channels + channel;
    float count = static_cast<float>(min(task.rows_per_tile, task.rows - tile * task.rows_per_tile));
    float difference = of_tile[0] / count - mean;
    deviations += of_tile[task.channels] + count * difference * difference;
  }
  return make_float2(mean, sum_over_rows(shared, deviations) / static_cast<float>(task.rows));
}

// One block: 32 channels of a task; item.tile is the slice. `share` is what the running statistics move towards the batch's; 0:
// they stay, and the output is normalised with them.
extern "C" __global__ void __launch_bounds__(THREADS, 2) normalise(const Item* __restrict__ items,
                                                                const NormTask* __restrict__ tasks,
                                                                const Reader* __restrict__ readers, float* parameters,
                                                                float* floats, float share) {
  __shared__ float shared[ROWS][SLICE];
  Item item = items[blockIdx.x];
  NormTask task = tasks[item.task];
  uint32_t channel = item.tile * SLICE + threadIdx.x % SLICE;
  bool active = channel < task.channels, first = threadIdx.x < SLICE && active;
  float scale = 1.f, shift = 0.f;
  if (task.gamma != NONE) {
    float2 moments = make_float2(0.f, 0.f);
    if (share > 0.f) {
      moments = merge_moments(shared, floats + task.moments, task, channel, active);
    } else if (active) {
      moments = make_float2(parameters[task.running_mean + channel], parameters[task.running_variance + channel]);
    }
    float inverse = 1.f / sqrtf(moments.y + EPSILON);
    if (active) {
      scale = parameters[task.gamma + channel] * inverse;
      shift = fmaf(-moments.x, scale, parameters[task.beta + channel]);
    }
    if (first) {
      float* norm = floats + task.norm + channel;
      norm[0] = scale, norm[task.channels] = shift, norm[2 * task.channels] = moments.x, norm[3 * task.channels] = inverse;
      if (share > 0.f) {
        float* mean = parameters + task.running_mean + channel;
        float* variance = parameters + task.running_variance + channel;
        float count = static_cast<float>(task.rows), unbiased = moments.y * (count / fmaxf(count - 1.f, 1.f));
        *mean += share * (moments.x - *mean);
        *variance += share * (unbiased - *variance);
      }
    }
  }
  for (uint32_t r = threadIdx.x / SLICE; active && r < task.readers; r += ROWS) {
    Reader reader = readers[task.first_reader + r];
    float weight = weight_of(reader, parameters);
    floats[reader.coefficients + channel] = weight * scale;
    floats[reader.coefficients + task.channels + channel] = weight * shift;
  }
}

// A gather that read the output, in the backward.
struct Consumer {
  uint64_t sums;          // (groups, stride): channel sums of its gradient
  uint64_t products;      // likewise of the gradient times the output
  uint64_t coefficients;  // (2, channels), written: of its gradient in the gather that forms the output's
  uint64_t logit;         // in the arena of parameters (the gradient lies at the same place in that of gradients), or NONE
  uint32_t groups;
  uint32_t stride;
  float weight;
  uint32_t reserved;
};

struct GradientTask {
  uint64_t norm;   // (4, channels)
  uint64_t gamma;  // NONE: the output is read as it is
  uint64_t beta;
  uint64_t own;    // (2, channels), written: coefficients of the raw output
  uint32_t rows;
  uint32_t channels;
  uint32_t first_consumer;
  uint32_t consumers;
};

// The sum over a consumer's groups for each channel of the block.
__device__ __forceinline__ float sum_over_groups(float (&shared)[ROWS][SLICE], const float* from, const Consumer& consumer,
                                                 uint32_t channel, bool active) {
  float sum = 0.f;
  for (uint32_t group = threadIdx.x / SLICE; active && group < consumer.groups; group += ROWS)
    sum += from[static_cast<uint64_t>(group) * consumer.stride + channel];
  return sum_over_rows(shared, sum);
}

// One block: a task; it walks the slices, because the gradient of a logit sums over all channels.
extern "C" __global__ void __launch_bounds__(THREADS, 2) output_gradient(const Item* __restrict__ items,
                                                                      const GradientTask* __restrict__ tasks,
                                                                      const Consumer* __restrict__ consumers,
                                                                      const float* __restrict__ parameters, float* gradients,
                                                                      float* floats) {
  __shared__ float shared[ROWS][SLICE];
  GradientTask task = tasks[items[blockIdx.x].task];
  for (uint32_t slice = 0; slice * SLICE < task.channels; slice++) {
    uint32_t channel = slice * SLICE + threadIdx.x % SLICE;
    bool active = channel < task.channels, first = threadIdx.x < SLICE && active, normalised = task.gamma != NONE;
    const float* norm = floats + task.norm + channel;
    float scale = 1.f, shift = 0.f, mean = 0.f, inverse = 0.f;
    if (normalised && active)
      scale = norm[0], shift = norm[task.channels], mean = norm[2 * task.channels], inverse = norm[3 * task.channels];
    float gradient = 0.f, product = 0.f;
    for (uint32_t c = 0; c < task.consumers; c++) {
      Consumer consumer = consumers[task.first_consumer + c];
      float weight = consumer.logit == NONE ? consumer.weight : sigmoid(parameters[consumer.logit]);
      float sum = sum_over_groups(shared, floats + consumer.sums, consumer, channel, active);
      float with_value = sum_over_groups(shared, floats + consumer.products, consumer, channel, active);
      gradient = fmaf(weight, sum, gradient);
      product = fmaf(weight, with_value, product);
      if (consumer.logit != NONE && threadIdx.x < WARP) {
        float of_weight = warp_sum(active ? fmaf(scale, with_value, shift * sum) : 0.f);
        float* logit = gradients + consumer.logit;
        if (threadIdx.x == 0) *logit = (slice == 0 ? 0.f : *logit) + of_weight * weight * (1.f - weight);
      }
    }
    float of_gamma = (product - mean * gradient) * inverse;
    float of_value = -scale * inverse * of_gamma / static_cast<float>(task.rows);
    if (normalised && first) {
      gradients[task.gamma + channel] = of_gamma;
      gradients[task.beta + channel] = gradient;
      floats[task.own + channel] = of_value;
      floats[task.own + task.channels + channel] = -scale * gradient / static_cast<float>(task.rows) - of_value * mean;
    }
    for (uint32_t c = threadIdx.x / SLICE; active && c < task.consumers; c += ROWS) {
      Consumer consumer = consumers[task.first_consumer + c];
      float weight = consumer.logit == NONE ? consumer.weight : sigmoid(parameters[consumer.logit]);
      floats[consumer.coefficients + channel] = weight * scale;
      floats[consumer.coefficients + task.channels + channel] = 0.f;
    }
  }
}
