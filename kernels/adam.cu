// The end of the graph generator's training step: adds up partial gradients in their order, then Adam on all parameters.

#include "generator.cuh"

// Shapes      partials (splits, pitch of a split) f32, of which `floats` are added up; gradient (floats)
// Bytes       4 * floats * (splits + 1)
// Flops       floats * splits
// Floor       bytes
// Block       1024 numbers of one tensor
struct SumTask {
  uint64_t partials;
  uint64_t gradient;
  uint32_t floats;    // a multiple of 4
  uint32_t stride;    // from split to split, a multiple of 4
  uint32_t live;      // which count of the batch is split ..
  uint32_t most;      // .. but not more than this ..
  uint32_t split;     // .. into parts of this length
  uint32_t columns;   // of a row of the tensor ..
  uint32_t used;      // .. whose others have no gradient
  uint32_t reserved;
};

extern "C" __global__ void __launch_bounds__(THREADS) sum_partials(const Item* __restrict__ items, const SumTask* __restrict__ tasks,
                                                                   const uint32_t* __restrict__ indices, float* floats) {
  Item item = items[blockIdx.x];
  SumTask task = tasks[item.task];
  uint32_t number = (item.tile * THREADS + threadIdx.x) * 4;
  if (number >= task.floats) return;
  uint32_t splits = ceil_div(live(indices, task.live, task.most), task.split);
  const float* from = floats + task.partials + number;
  Vector<float> sum = zero();
#pragma unroll 4
  for (uint32_t split = 0; split < splits; split++) {
    Vector<float> part = load(from + static_cast<uint64_t>(split) * task.stride);
#pragma unroll
    for (int i = 0; i < 4; i++) sum.v[i] += part.v[i];
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
    if ((number + i) % task.columns >= task.used) sum.v[i] = 0.f;
  store(floats + task.gradient + number, sum);
}

// Adam with PyTorch's defaults, the same operations in the same order as on the CPU, so bit for bit the same:
//
//   m = 0.9 m + 0.1 g;  v = 0.999 v + 0.001 g g;  p -= rate m / (sqrt(v) scale + 1e-8)
//
// Shapes      parameters, gradient, first and second moments (floats) f32
// Bytes       28 * floats
// Flops       about 12 * floats
// Floor       bytes
// Block       1024 numbers
struct Adam {
  uint64_t parameters;
  uint64_t gradient;
  uint64_t first;
  uint64_t second;
  uint64_t floats;   // a multiple of 4
  float keep[2];
  float take[2];
};

extern "C" __global__ void __launch_bounds__(THREADS) adam(Adam task, const uint32_t* __restrict__ indices, float* floats) {
  constexpr float EPSILON = 1e-8f;
  uint64_t number = (static_cast<uint64_t>(blockIdx.x) * THREADS + threadIdx.x) * 4;
  if (number >= task.floats) return;
  float rate = batch(indices).rate, scale = batch(indices).scale;
  Vector<float> p = load(floats + task.parameters + number), g = load(floats + task.gradient + number);
  Vector<float> m = load(floats + task.first + number), v = load(floats + task.second + number);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    m.v[i] = __fadd_rn(__fmul_rn(task.keep[0], m.v[i]), __fmul_rn(task.take[0], g.v[i]));
    v.v[i] = __fadd_rn(__fmul_rn(task.keep[1], v.v[i]), __fmul_rn(__fmul_rn(task.take[1], g.v[i]), g.v[i]));
    float below = __fadd_rn(__fmul_rn(__fsqrt_rn(v.v[i]), scale), EPSILON);
    p.v[i] = __fsub_rn(p.v[i], __fdiv_rn(__fmul_rn(rate, m.v[i]), below));
  }
  store(floats + task.first + number, m);
  store(floats + task.second + number, v);
  store(floats + task.parameters + number, p);
}
