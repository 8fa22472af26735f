// What goes into the graph generator's network and what its heads read.
//
//   features           what a node starts from, as numbers: its row, its number, one
//   differences        h_new - h_j for every node j of a prefix: zero for the new node's pair with itself
//
// Block       32 nodes by a slice of 32 columns
#include "generator.cuh"

constexpr uint32_t NODES_A_BLOCK = THREADS / (SLICE / 4);

// Shapes      features (nodes, pitch): row (rows), number of an existing node (numbers), one for an existing node (8, padded),
//             number of any node (numbers); `rows` and `numbers` are padded, `numbers` may be 0
// Bytes       4 * nodes * (pitch + 6)
// Floor       bytes
struct Features {
  uint64_t features;
  uint32_t nodes;     // the most
  uint32_t rows;
  uint32_t numbers;
  uint32_t reserved;
  Lists lists;
};

__device__ __forceinline__ uint32_t pitch_of(const Features& task) { return task.rows + 2 * task.numbers + 8; }

extern "C" __global__ void __launch_bounds__(THREADS) features(Features task, const uint32_t* __restrict__ indices, float* floats) {
  uint32_t pitch = pitch_of(task), slices = ceil_div(pitch, SLICE);
  Lanes lanes((blockIdx.x % slices) * SLICE, pitch, 4);
  uint32_t node = blockIdx.x / slices * NODES_A_BLOCK + lanes.row;
  if (!lanes.active || lanes.row >= NODES_A_BLOCK || node >= live(indices, 1, task.nodes)) return;
  bool exists = indices[task.lists.new_of + node] != node;
  uint32_t number = indices[task.lists.numbers + node], one = task.rows + task.numbers;
  Vector<float> x;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    uint32_t column = lanes.channel + i;
    bool set;
    if (column < task.rows)
      set = exists && (indices[task.lists.rows + 4 * node + column / 32] >> (column % 32) & 1);
    else if (column < one)
      set = exists && column - task.rows == number;
    else if (column < one + 8)
      set = exists && column == one;
    else
      set = column - one - 8 == number;
    x.v[i] = set ? 1.f : 0.f;
  }
  store(floats + task.features + static_cast<uint64_t>(node) * pitch + lanes.channel, x);
}

// Shapes      state, differences (nodes, hidden); new_states (prefixes, hidden) or NONE: rows of the new nodes
// Bytes       4 * nodes * 2 * hidden
// Flops       nodes * hidden
// Floor       bytes
struct Differences {
  uint64_t state;
  uint64_t differences;
  uint64_t new_states;
  uint32_t nodes;     // the most
  uint32_t hidden;
  Lists lists;
};

extern "C" __global__ void __launch_bounds__(THREADS) differences(Differences task, const uint32_t* __restrict__ indices,
                                                                  float* floats) {
  uint32_t slices = ceil_div(task.hidden, SLICE);
  Lanes lanes((blockIdx.x % slices) * SLICE, task.hidden, 4);
  uint32_t node = blockIdx.x / slices * NODES_A_BLOCK + lanes.row;
  if (!lanes.active || lanes.row >= NODES_A_BLOCK || node >= live(indices, 1, task.nodes)) return;
  uint32_t new_node = indices[task.lists.new_of + node];
  const float* state = floats + task.state + lanes.channel;
  Vector<float> own = load(state + static_cast<uint64_t>(node) * task.hidden), difference;
  Vector<float> other = load(state + static_cast<uint64_t>(new_node) * task.hidden);
#pragma unroll
  for (int i = 0; i < 4; i++) difference.v[i] = other.v[i] - own.v[i];
  store(floats + task.differences + static_cast<uint64_t>(node) * task.hidden + lanes.channel, difference);
  if (node == new_node && task.new_states != NONE) {
    uint64_t prefix = indices[task.lists.prefix_of + node];
    store(floats + task.new_states + prefix * task.hidden + lanes.channel, own);
  }
}

// Backward: the gradient of the states from those of the differences, one for each of two heads, and of the new nodes' rows.
//
// Shapes      dstate, theta, alpha (nodes, hidden); new_states (prefixes, hidden) or NONE
// Bytes       4 * nodes * 5 * hidden
// Flops       3 * nodes * hidden
// Floor       bytes
struct DifferencesGradient {
  uint64_t theta;
  uint64_t alpha;
  uint64_t new_states;
  uint64_t dstate;
  uint32_t nodes;     // the most
  uint32_t hidden;
  Lists lists;
};

extern "C" __global__ void __launch_bounds__(THREADS) differences_gradient(DifferencesGradient task,
                                                                           const uint32_t* __restrict__ indices, float* floats) {
  uint32_t slices = ceil_div(task.hidden, SLICE);
  Lanes lanes((blockIdx.x % slices) * SLICE, task.hidden, 4);
  uint32_t node = blockIdx.x / slices * NODES_A_BLOCK + lanes.row;
  if (!lanes.active || lanes.row >= NODES_A_BLOCK || node >= live(indices, 1, task.nodes)) return;
  const float *theta = floats + task.theta + lanes.channel, *alpha = floats + task.alpha + lanes.channel;
  Vector<float> sum = zero();
  auto add = [&](uint32_t pair, float sign) {
    Vector<float> a = load(theta + static_cast<uint64_t>(pair) * task.hidden);
    Vector<float> b = load(alpha + static_cast<uint64_t>(pair) * task.hidden);
#pragma unroll
    for (int i = 0; i < 4; i++) sum.v[i] += sign * (a.v[i] + b.v[i]);
  };
  if (node != indices[task.lists.new_of + node]) {
    add(node, -1.f);
  } else {
    uint32_t prefix = indices[task.lists.prefix_of + node];
#pragma unroll 2  // Four pairs at a time take more registers than limits.toml grants.
    for (uint32_t pair = indices[task.lists.first_node + prefix]; pair < node; pair++) add(pair, 1.f);
    if (task.new_states != NONE) {
      Vector<float> own = load(floats + task.new_states + static_cast<uint64_t>(prefix) * task.hidden + lanes.channel);
#pragma unroll
      for (int i = 0; i < 4; i++) sum.v[i] += own.v[i];
    }
  }
  store(floats + task.dstate + static_cast<uint64_t>(node) * task.hidden + lanes.channel, sum);
}
