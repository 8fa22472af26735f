// The distributions of a row, in f64 as on the CPU: the mixture of Bernoullis and the softmax over operators; their
// probabilities, gradients and draws, and a refit's loss.
//
//   log P(A_i) = log sum_k alpha_k prod_j Bernoulli(A_ij; theta_kj)    alpha = softmax_k of the mean over the pairs
//
// Shapes      theta, alpha (nodes, pitch) f32: one row for each pair of a prefix's new node with a node, itself the last;
//             operators (prefixes, operator_pitch) f32; log_weights, joint (prefixes, mixtures) f64; scores (prefixes, 2) f64:
//             row and operator
// Bytes       8 * nodes * mixtures, twice that in the backward
// Flops       about 60 f64 for each pair and component
// Floor       f64 flops: 4096 pairs of 20 components are 5 Mflop, 0.15 us on an H100, 10 us on a consumer's card
// Block       a warp for each prefix; a lane takes components lane, lane + 32, ...
#include "generator.cuh"

constexpr int MIXTURE_THREADS = 128;

struct Mixture {
  uint64_t theta;
  uint64_t alpha;
  uint64_t operators;      // or NONE
  uint64_t dtheta;
  uint64_t dalpha;
  uint64_t doperators;
  uint64_t log_weights;    // in `doubles`, as all below
  uint64_t joint;
  uint64_t scores;
  uint64_t slopes;         // (graphs)
  uint64_t uniforms;       // (prefixes, draws)
  double row_share;        // of log P of a row in its graph's l
  double operator_share;
  uint32_t prefixes;       // the most
  uint32_t mixtures;
  uint32_t pitch;
  uint32_t operator_count;
  uint32_t operator_pitch;
  uint32_t self_pair;      // whether the mean over the pairs has the new node's with itself
  uint32_t draws;          // random numbers of a prefix: the component's, every entry's, the operator's
  uint32_t reserved;
  Lists lists;
};

__device__ __forceinline__ double warp_sum(double value) {
#pragma unroll
  for (int step = WARP / 2; step > 0; step >>= 1) value += __shfl_xor_sync(ALL_LANES, value, step);
  return value;
}
__device__ __forceinline__ double warp_max(double value) {
#pragma unroll
  for (int step = WARP / 2; step > 0; step >>= 1) value = fmax(value, __shfl_xor_sync(ALL_LANES, value, step));
  return value;
}

__device__ __forceinline__ double softplus(double x) { return fmax(x, 0.) + log1p(exp(-fabs(x))); }
// 1 / x for normal x up to 1e300: Newton's iteration from 20 bits. A division is a call, around which registers spill.
__device__ __forceinline__ double reciprocal(double x) {
  double r;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(r) : "d"(x));
  r = fma(r, fma(-x, r, 1.), r);
  r = fma(r, fma(-x, r, 1.), r);
  return fma(r, fma(-x, r, 1.), r);
}
__device__ __forceinline__ double logistic(double x) { return reciprocal(fmin(1. + exp(-x), 1e300)); }

// The logarithm of the sum of exponentials of numbers that the warp's lanes have, each every 32nd. `value(k)`.
template <typename Value> __device__ __forceinline__ double log_sum_exp(uint32_t count, const Value& value) {
  double most = -INFINITY, sum = 0.;
  for (uint32_t k = threadIdx.x % WARP; k < count; k += WARP) most = fmax(most, value(k));
  most = warp_max(most);
  for (uint32_t k = threadIdx.x % WARP; k < count; k += WARP) sum += exp(value(k) - most);
  return most + log(warp_sum(sum));
}

// A warp's prefix.
struct PrefixWarp {
  uint32_t prefix;
  uint32_t first;   // row of its first pair
  uint32_t entries; // pairs with other nodes
  uint32_t lane;
  bool valid;

  __device__ __forceinline__ PrefixWarp(const Mixture& task, const uint32_t* indices) {
    prefix = blockIdx.x * (MIXTURE_THREADS / WARP) + threadIdx.x / WARP;
    lane = threadIdx.x % WARP;
    valid = prefix < live(indices, 3, task.prefixes);
    if (!valid) return;
    first = indices[task.lists.first_node + prefix];
    entries = indices[task.lists.first_node + prefix + 1] - first - 1;
  }

  // One over the number of pairs in the mean of alpha.
  __device__ __forceinline__ double share(const Mixture& task) const {
    return reciprocal(static_cast<double>(max(entries + task.self_pair, 1u)));
  }
  __device__ __forceinline__ bool bit(const Mixture& task, const uint32_t* indices, uint32_t entry) const {
    return indices[task.lists.target_rows + 4 * prefix + entry / 32] >> (entry % 32) & 1;
  }
};

// The logarithms of the mixture weights; every lane writes and later reads those of its own components.
__device__ __forceinline__ void write_log_weights(const Mixture& task, const PrefixWarp& at, const float* floats, double* to) {
  for (uint32_t k = at.lane; k < task.mixtures; k += WARP) {
    const float* alpha = floats + task.alpha + static_cast<uint64_t>(at.first) * task.pitch + k;
    double sum = 0.;
    for (uint32_t pair = 0; pair < at.entries + task.self_pair; pair++) sum += static_cast<double>(alpha[pair * task.pitch]);
    to[k] = sum * at.share(task);
  }
  double total = log_sum_exp(task.mixtures, [&](uint32_t k) { return to[k]; });
  for (uint32_t k = at.lane; k < task.mixtures; k += WARP) to[k] -= total;
}

__device__ __forceinline__ double log_operators(const Mixture& task, const PrefixWarp& at, const float* floats) {
  const float* logits = floats + task.operators + static_cast<uint64_t>(at.prefix) * task.operator_pitch;
  return log_sum_exp(task.operator_count, [&](uint32_t k) { return static_cast<double>(logits[k]); });
}

// Log-probabilities of the targets; leaves log alpha_k and log alpha_k + sum_j log Bernoulli for the gradient.
extern "C" __global__ void __launch_bounds__(MIXTURE_THREADS) score(Mixture task, const uint32_t* __restrict__ indices,
                                                                    const float* __restrict__ floats, double* doubles) {
  PrefixWarp at(task, indices);
  if (!at.valid) return;
  double* log_weights = doubles + task.log_weights + static_cast<uint64_t>(at.prefix) * task.mixtures;
  double* joint = doubles + task.joint + static_cast<uint64_t>(at.prefix) * task.mixtures;
  write_log_weights(task, at, floats, log_weights);
  for (uint32_t k = at.lane; k < task.mixtures; k += WARP) {
    const float* theta = floats + task.theta + static_cast<uint64_t>(at.first) * task.pitch + k;
    double sum = log_weights[k];
    for (uint32_t entry = 0; entry < at.entries; entry++) {
      double logit = static_cast<double>(theta[entry * task.pitch]);
      sum -= softplus(at.bit(task, indices, entry) ? -logit : logit);
    }
    joint[k] = sum;
  }
  double row = log_sum_exp(task.mixtures, [&](uint32_t k) { return joint[k]; }), chosen = 0.;
  if (task.operators != NONE) {
    uint64_t logit = task.operators + static_cast<uint64_t>(at.prefix) * task.operator_pitch;
    chosen = static_cast<double>(floats[logit + indices[task.lists.target_operators + at.prefix]]) - log_operators(task, at, floats);
  }
  if (at.lane == 0) doubles[task.scores + 2 * at.prefix] = row, doubles[task.scores + 2 * at.prefix + 1] = chosen;
}

// Losses of graphs and their derivatives by l, the graph's weighted negative log-likelihood:
//
//   l = -sum over prefixes (row_share log P(A_i) + operator_share log P(x_i));  loss = rho l, or rho log(1 - exp(-l) + 1e-6)
//
// Shapes      weights, losses, slopes (graphs) f64
// Bytes       16 * prefixes + 24 * graphs
// Floor       the launch
// Block       a thread for each graph
struct GraphLoss {
  uint64_t scores;
  uint64_t weights;
  uint64_t losses;
  uint64_t slopes;
  double row_share;
  double operator_share;
  uint32_t graphs;   // the most
  uint32_t reserved;
  Lists lists;
};

extern "C" __global__ void __launch_bounds__(MIXTURE_THREADS) graph_loss(GraphLoss task, const uint32_t* __restrict__ indices,
                                                                         double* doubles) {
  constexpr double SMALLEST = 1e-6;
  uint32_t graph = blockIdx.x * MIXTURE_THREADS + threadIdx.x;
  if (graph >= live(indices, 4, task.graphs)) return;
  double l = 0.;
  uint32_t end = indices[task.lists.first_prefix + graph + 1];
  for (uint32_t prefix = indices[task.lists.first_prefix + graph]; prefix < end; prefix++)
    l -= task.row_share * doubles[task.scores + 2 * prefix] + task.operator_share * doubles[task.scores + 2 * prefix + 1];
  double rho = doubles[task.weights + graph], loss = rho * l, slope = rho;
  if (!(rho > 0.)) {
    double likelihood = exp(-l), rest = 1. - likelihood + SMALLEST;
    loss = rho * log(rest), slope = rho * likelihood / rest;
  }
  doubles[task.losses + graph] = loss;
  doubles[task.slopes + graph] = slope;
}

// Gradients of the logits of the sum of losses, from what score and graph_loss left.
extern "C" __global__ void __launch_bounds__(MIXTURE_THREADS) score_gradient(Mixture task, const uint32_t* __restrict__ indices,
                                                                             float* floats, const double* __restrict__ doubles) {
  PrefixWarp at(task, indices);
  if (!at.valid) return;
  const double* log_weights = doubles + task.log_weights + static_cast<uint64_t>(at.prefix) * task.mixtures;
  const double* joint = doubles + task.joint + static_cast<uint64_t>(at.prefix) * task.mixtures;
  double slope = doubles[task.slopes + indices[task.lists.graph_of + at.prefix]];
  double log_probability = doubles[task.scores + 2 * at.prefix], coefficient = -slope * task.row_share;
  for (uint32_t k = at.lane; k < task.mixtures; k += WARP) {
    uint64_t row = static_cast<uint64_t>(at.first) * task.pitch + k;
    double posterior = exp(joint[k] - log_probability);
    float weight = static_cast<float>(coefficient * (posterior - exp(log_weights[k])) * at.share(task));
    for (uint32_t pair = 0; pair <= at.entries; pair++) {
      bool is_self = pair == at.entries;
      float entry = 0.f;
      if (!is_self) {
        double bit = at.bit(task, indices, pair) ? 1. : 0.;
        double probability = logistic(static_cast<double>(floats[task.theta + row + pair * task.pitch]));
        entry = static_cast<float>(coefficient * posterior * (bit - probability));
      }
      floats[task.dtheta + row + pair * task.pitch] = entry;
      floats[task.dalpha + row + pair * task.pitch] = is_self && !task.self_pair ? 0.f : weight;
    }
  }
  if (task.operators == NONE) return;
  double total = log_operators(task, at, floats);
  uint32_t target = indices[task.lists.target_operators + at.prefix];
  for (uint32_t k = at.lane; k < task.operator_count; k += WARP) {
    uint64_t row = static_cast<uint64_t>(at.prefix) * task.operator_pitch + k;
    double probability = exp(static_cast<double>(floats[task.operators + row]) - total);
    floats[task.doperators + row] = static_cast<float>(-slope * task.operator_share * ((k == target ? 1. : 0.) - probability));
  }
}

// The first component whose probabilities, added up, exceed the random number; `log_probability(k)`.
template <typename Value> __device__ __forceinline__ uint32_t pick(uint32_t count, double uniform, const Value& log_probability) {
  for (uint32_t k = 0; k < count; k++) {
    uniform -= exp(log_probability(k));
    if (uniform < 0.) return k;
  }
  return count - 1;
}

// Draws of every prefix, to the targets: the component, then every entry, then the operator.
extern "C" __global__ void __launch_bounds__(MIXTURE_THREADS) draw(Mixture task, uint32_t* indices, const float* __restrict__ floats,
                                                                   double* doubles) {
  PrefixWarp at(task, indices);
  if (!at.valid) return;
  double* log_weights = doubles + task.log_weights + static_cast<uint64_t>(at.prefix) * task.mixtures;
  const double* uniforms = doubles + task.uniforms + static_cast<uint64_t>(at.prefix) * task.draws;
  write_log_weights(task, at, floats, log_weights);
  __syncwarp();
  uint32_t component = pick(task.mixtures, uniforms[0], [&](uint32_t k) { return log_weights[k]; });
  const float* theta = floats + task.theta + static_cast<uint64_t>(at.first) * task.pitch + component;
#pragma unroll 1  // Four copies of the logistic function would spill.
  for (uint32_t word = 0; word < 4; word++) {
    uint32_t entry = word * WARP + at.lane;
    bool is_edge = entry < at.entries && uniforms[1 + entry] < logistic(static_cast<double>(theta[entry * task.pitch]));
    uint32_t bits = __ballot_sync(ALL_LANES, is_edge);
    if (at.lane == 0) indices[task.lists.target_rows + 4 * at.prefix + word] = bits;
  }
  if (task.operators == NONE) return;
  const float* logits = floats + task.operators + static_cast<uint64_t>(at.prefix) * task.operator_pitch;
  double total = log_operators(task, at, floats);
  uint32_t chosen = pick(task.operator_count, uniforms[1 + at.entries],
                         [&](uint32_t k) { return static_cast<double>(logits[k]) - total; });
  if (at.lane == 0) indices[task.lists.target_operators + at.prefix] = chosen;
}
