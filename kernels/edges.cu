// The edge network of a round of message passing without a gate: no product runs over edges. With p the states' shares in
// the first layer, the sum over a node's edges comes before the second layer:
//
//   sums_v = sum over edges u -> v of relu(p_u - p_v + bias + marks)
//
// and its backward, which also serves a round with a gate, given the hidden layers' gradient (gate.cu). A node's neighbours
// are its edges' sources and, as every edge has one in the other direction, their destinations: nothing is scattered.
//
// Shapes      p (nodes, pitch), the first `columns` of it; vectors (3, columns): bias and marks; sums (nodes, sums_pitch) with
//             the node's degree behind the columns: it carries the second layer's bias
// Bytes       4 * columns * (2 * nodes + edges); the neighbours' rows come from the cache
// Flops       3 * edges * columns
// Floor       bytes
// Block       32 nodes by a slice of 32 columns; a thread keeps one node's four sums in registers while its edges go by
#include "generator.cuh"

constexpr uint32_t NODES_A_BLOCK = THREADS / (SLICE / 4);

struct EdgeSums {
  uint64_t projected;
  uint64_t vectors;
  uint64_t sums;
  uint32_t nodes;     // the most
  uint32_t columns;
  uint32_t pitch;
  uint32_t sums_pitch;
  Lists lists;
};

// The node and columns of a thread.
struct Place {
  Lanes lanes;
  uint32_t node;
  bool valid;

  __device__ __forceinline__ Place(uint32_t columns, uint32_t nodes)
      : lanes((blockIdx.x % ceil_div(columns, SLICE)) * SLICE, columns, 4) {
    uint32_t first = blockIdx.x / ceil_div(columns, SLICE) * NODES_A_BLOCK;
    // A narrow slice has fewer lanes: the same nodes, in fewer threads.
    node = first + lanes.row;
    valid = lanes.active && lanes.row < NODES_A_BLOCK && node < nodes;
  }
};

extern "C" __global__ void __launch_bounds__(THREADS) edge_sums(EdgeSums task, const uint32_t* __restrict__ indices, float* floats) {
  Place at(task.columns, live(indices, 1, task.nodes));
  if (!at.valid) return;
  const Lists& lists = task.lists;
  EdgeLayer layer(floats + task.vectors + at.lanes.channel, task.columns);
  const float* projected = floats + task.projected + at.lanes.channel;
  uint32_t new_node = indices[lists.new_of + at.node];
  Vector<float> own = load(projected + static_cast<uint64_t>(at.node) * task.pitch);
  Vector<float> plain = layer.base(own, false, at.node == new_node), marked = layer.base(own, true, false), sum = zero();
  uint32_t first = indices[lists.offsets + at.node], end = indices[lists.offsets + at.node + 1];
  for (uint32_t edge = first; edge < end; edge++) {
    uint32_t source = indices[lists.sources + edge];
    Vector<float> from = load(projected + static_cast<uint64_t>(source) * task.pitch);
    bool from_new = source == new_node;
#pragma unroll
    for (int i = 0; i < 4; i++) sum.v[i] += relu(from.v[i] + (from_new ? marked.v[i] : plain.v[i]));
  }
  float* to = floats + task.sums + static_cast<uint64_t>(at.node) * task.sums_pitch;
  store(to + at.lanes.channel, sum);
  if (at.lanes.channel == 0) to[task.columns] = static_cast<float>(end - first);
}

// Backward: what the layer's gradient d leaves with the shares and with bias and marks,
//
//   dp_r    = sum over edges r -> u of d - sum over edges u -> r of d
//   partial = sums over the block's nodes of their incoming d: all, from the new node, into the new node
//
// Without a gate d of u -> v is the gradient of sums_v where the ReLU passed, which is found out again; with a gate it is read.
//
// Shapes      given (nodes, given_pitch): gradient of the sums; or (edges, columns): d. dprojected (nodes, pitch); partials
//             (blocks of 32 nodes, 3, columns)
// Bytes       4 * columns * (3 * nodes + edges), with a gate 4 * columns * (nodes + 2 * edges)
// Flops       8 * edges * columns, with a gate 2 * edges * columns
// Floor       bytes
struct EdgeGradient {
  uint64_t projected;   // without a gate
  uint64_t vectors;     // without a gate
  uint64_t given;
  uint64_t dprojected;
  uint64_t partials;
  uint32_t nodes;
  uint32_t columns;
  uint32_t pitch;       // of projected and dprojected
  uint32_t given_pitch;
  Lists lists;
};

// Incoming and outgoing gradients of one node.
struct Received {
  Vector<float> in = zero();
  Vector<float> from_new = zero();
  Vector<float> out = zero();
};

__device__ __forceinline__ void add(Vector<float>& to, const Vector<float>& x) {
#pragma unroll
  for (int i = 0; i < 4; i++) to.v[i] += x.v[i];
}
// Number by number: a choice between vectors would be one between addresses.
__device__ __forceinline__ Vector<float> select(bool first, const Vector<float>& a, const Vector<float>& b) {
  Vector<float> r;
#pragma unroll
  for (int i = 0; i < 4; i++) r.v[i] = first ? a.v[i] : b.v[i];
  return r;
}
__device__ __forceinline__ Vector<float> passed(const Vector<float>& d, const Vector<float>& p, const Vector<float>& base) {
  Vector<float> r;
#pragma unroll
  for (int i = 0; i < 4; i++) r.v[i] = p.v[i] + base.v[i] > 0.f ? d.v[i] : 0.f;
  return r;
}

__device__ __forceinline__ Received receive_sums(const EdgeGradient& task, const Place& at, uint32_t new_node, uint32_t first,
                                                 uint32_t end, const uint32_t* indices, const float* floats) {
  EdgeLayer layer(floats + task.vectors + at.lanes.channel, task.columns);
  const float* projected = floats + task.projected + at.lanes.channel;
  const float* given = floats + task.given + at.lanes.channel;
  Vector<float> own = load(projected + static_cast<uint64_t>(at.node) * task.pitch);
  Vector<float> own_given = load(given + static_cast<uint64_t>(at.node) * task.given_pitch);
  bool is_new = at.node == new_node;
  Vector<float> plain = layer.base(own, false, is_new), marked = layer.base(own, true, false);
  Received r;
  for (uint32_t edge = first; edge < end; edge++) {
    uint32_t other = indices[task.lists.sources + edge];
    bool from_new = other == new_node;
    Vector<float> p = load(projected + static_cast<uint64_t>(other) * task.pitch);
    Vector<float> in = passed(own_given, p, select(from_new, marked, plain));
    add(r.in, in);
    if (from_new) add(r.from_new, in);
    Vector<float> other_given = load(given + static_cast<uint64_t>(other) * task.given_pitch);
    add(r.out, passed(other_given, own, layer.base(p, is_new, from_new)));
  }
  return r;
}

__device__ __forceinline__ Received receive_edges(const EdgeGradient& task, const Place& at, uint32_t new_node, uint32_t first,
                                                  uint32_t end, const uint32_t* indices, const float* floats) {
  const float* given = floats + task.given + at.lanes.channel;
  Received r;
  for (uint32_t edge = first; edge < end; edge++) {
    Vector<float> in = load(given + static_cast<uint64_t>(edge) * task.given_pitch);
    add(r.in, in);
    if (indices[task.lists.sources + edge] == new_node) add(r.from_new, in);
    add(r.out, load(given + static_cast<uint64_t>(indices[task.lists.reverse + edge]) * task.given_pitch));
  }
  return r;
}

template <bool GATED>
__device__ __forceinline__ void gradient(const EdgeGradient& task, const uint32_t* indices, float* floats) {
  __shared__ float warps[THREADS / WARP][3][SLICE];
  uint32_t nodes = live(indices, 1, task.nodes);
  uint32_t slices = ceil_div(task.columns, SLICE), tile = blockIdx.x / slices, slice = (blockIdx.x % slices) * SLICE;
  if (tile * NODES_A_BLOCK >= nodes) return;
  Place at(task.columns, nodes);
  Received r;
  uint32_t new_node = NO_LIST;
  if (at.valid) {
    new_node = indices[task.lists.new_of + at.node];
    uint32_t first = indices[task.lists.offsets + at.node], end = indices[task.lists.offsets + at.node + 1];
    r = GATED ? receive_edges(task, at, new_node, first, end, indices, floats)
              : receive_sums(task, at, new_node, first, end, indices, floats);
    Vector<float> sum;
#pragma unroll
    for (int i = 0; i < 4; i++) sum.v[i] = r.out.v[i] - r.in.v[i];
    store(floats + task.dprojected + static_cast<uint64_t>(at.node) * task.pitch + at.lanes.channel, sum);
  }
  bool is_new = at.node == new_node;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float all = at.lanes.sum_rows(r.in.v[i]), from = at.lanes.sum_rows(r.from_new.v[i]);
    float into = at.lanes.sum_rows(is_new ? r.in.v[i] : 0.f);
    if (at.lanes.active && threadIdx.x % WARP < at.lanes.lanes) {
      float(*to)[SLICE] = warps[threadIdx.x / WARP];
      to[0][at.lanes.local + i] = all, to[1][at.lanes.local + i] = from, to[2][at.lanes.local + i] = into;
    }
  }
  __syncthreads();
  uint32_t sum = threadIdx.x / SLICE, column = threadIdx.x % SLICE;
  if (sum < 3 && slice + column < task.columns) {
    float total = 0.f;
#pragma unroll
    for (int w = 0; w < THREADS / WARP; w++) total += warps[w][sum][column];
    floats[task.partials + (static_cast<uint64_t>(tile) * 3 + sum) * task.columns + slice + column] = total;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS) edge_sums_gradient(EdgeGradient task, const uint32_t* __restrict__ indices,
                                                                         float* floats) {
  gradient<false>(task, indices, floats);
}
extern "C" __global__ void __launch_bounds__(THREADS) edges_gradient(EdgeGradient task, const uint32_t* __restrict__ indices,
                                                                          float* floats) {
  gradient<true>(task, indices, floats);
}
