// The edge networks of a round of message passing with a gate, fused: both first layers, both products over edges, the
// sigmoid and the sum over a node's edges.
//
//   received_v = sum over edges u -> v of sigmoid(V relu(q_u - q_v + ..) + c) * (W relu(p_u - p_v + ..) + b)
//
// p and q are the states' shares in the first layers, side by side; channels are gated one by one.
//
// Shapes      projected (nodes, pitch): p (hidden), q (attention); vectors (3, hidden + attention); W (hidden, hidden),
//             V (hidden, attention), b, c (hidden); messages, gates (edges, hidden): before and after the sigmoid, for the
//             backward, or NONE; received (nodes, hidden)
// Bytes       4 * (nodes * (2 * hidden + attention) + 2 * edges * hidden)
// Flops       2 * edges * hidden * (hidden + attention)
// Floor       flops, for widths from 64 on
// Block       all edges into some nodes, at most 64 if no node has more, by 64 columns; their hidden layers are formed strip
//             by strip in shared memory. A node with more edges has a block of its own, which takes 64 at a time
#include "generator.cuh"
#include "tiles.cuh"

struct Gate {
  uint64_t projected;
  uint64_t vectors;
  uint64_t message_weight;
  uint64_t message_bias;
  uint64_t gate_weight;
  uint64_t gate_bias;
  uint64_t messages;
  uint64_t gates;
  uint64_t received;
  uint32_t tiles;      // the most
  uint32_t hidden;
  uint32_t attention;
  uint32_t pitch;
  Lists lists;
};

// One thread's part of a strip of hidden layers: the same edges for every strip.
struct HiddenStrip {
  static constexpr int EDGES = BLOCK * STRIP<float> / 4 / PRODUCT_THREADS;
  uint32_t source[EDGES], destination[EDGES], marks[EDGES];
  Vector<float> values[EDGES];

  static __device__ __forceinline__ uint32_t edge(int i) { return (threadIdx.x + i * PRODUCT_THREADS) / (STRIP<float> / 4); }
  static __device__ __forceinline__ uint32_t column() { return threadIdx.x % (STRIP<float> / 4) * 4; }

  __device__ __forceinline__ void find(const Lists& lists, const uint32_t* indices, uint32_t first, uint32_t end) {
#pragma unroll
    for (int i = 0; i < EDGES; i++) {
      uint32_t number = first + edge(i);
      marks[i] = NO_LIST;
      if (number >= end) continue;
      source[i] = indices[lists.sources + number], destination[i] = indices[lists.destinations + number];
      uint32_t new_node = indices[lists.new_of + destination[i]];
      marks[i] = (source[i] == new_node ? 1u : 0u) | (destination[i] == new_node ? 2u : 0u);
    }
  }

  // Columns `first`.. of the shares and of the vectors, `columns` there are.
  __device__ __forceinline__ void load(const float* projected, uint32_t pitch, const float* vectors, uint32_t vectors_pitch,
                                       uint32_t first, uint32_t columns) {
    uint32_t at = first + column();
#pragma unroll
    for (int i = 0; i < EDGES; i++) values[i] = zero();
    if (at >= columns) return;
    EdgeLayer layer(vectors + at, vectors_pitch);
#pragma unroll
    for (int i = 0; i < EDGES; i++) {
      if (marks[i] == NO_LIST) continue;
      Vector<float> from = ::load(projected + static_cast<uint64_t>(source[i]) * pitch + at);
      Vector<float> to = ::load(projected + static_cast<uint64_t>(destination[i]) * pitch + at);
      Vector<float> base = layer.base(to, marks[i] & 1, marks[i] & 2);
#pragma unroll
      for (int c = 0; c < 4; c++) values[i].v[c] = relu(from.v[c] + base.v[c]);
    }
  }

  // As (depth, edges).
  __device__ __forceinline__ void put(float* shared) const {
#pragma unroll
    for (int i = 0; i < EDGES; i++) {
#pragma unroll
      for (int c = 0; c < 4; c++) shared[(column() + c) * STAGE_PITCH + edge(i)] = values[i].v[c];
    }
  }
};

using Product = Multiplier<float, true, true>;
using WeightStrip = Strip<float, true>;

// One of the two networks for the block's edges and columns.
struct Network {
  const float* projected;
  const float* vectors;
  const float* weight;
  uint32_t depth;

  __device__ __forceinline__ void multiply(Product& product, HiddenStrip& hidden, const Gate& task, uint32_t vectors_pitch,
                                           uint32_t column, float* shared) const {
    float *a = shared, *b = shared + STRIP<float> * STAGE_PITCH;
    WeightStrip next;
    hidden.load(projected, task.pitch, vectors, vectors_pitch, 0, depth);
    next.load(weight, column, task.hidden, 0, depth, depth);
    for (uint32_t k = 0; k < depth;) {
      hidden.put(a);
      next.put(b);
      __syncthreads();
      k += STRIP<float>;
      if (k < depth) {
        hidden.load(projected, task.pitch, vectors, vectors_pitch, k, depth);
        next.load(weight, column, task.hidden, k, depth, depth);
      }
      product.strip(a, b);
      __syncthreads();
    }
  }
};

extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 3) gate(Gate task, const uint32_t* __restrict__ indices, float* floats) {
  constexpr int STRIPS = 2 * STRIP<float> * STAGE_PITCH, STAGE = BLOCK * STAGE_PITCH;
  __shared__ __align__(16) float memory[STRIPS > STAGE ? STRIPS : STAGE];
  uint32_t column_tiles = ceil_div(task.hidden, BLOCK), tile = blockIdx.x / column_tiles;
  uint32_t column = blockIdx.x % column_tiles * BLOCK;
  if (tile >= live(indices, 5, task.tiles)) return;
  uint32_t first_node = indices[task.lists.tile_nodes + tile], end_node = indices[task.lists.tile_nodes + tile + 1];
  uint32_t first = indices[task.lists.offsets + first_node], end = indices[task.lists.offsets + end_node];
  uint32_t width = task.hidden + task.attention;
  Network message = {floats + task.projected, floats + task.vectors, floats + task.message_weight, task.hidden};
  Network gate = {message.projected + task.hidden, message.vectors + task.hidden, floats + task.gate_weight, task.attention};
  uint32_t chunk = first;
  do {
    uint32_t chunk_end = min(chunk + BLOCK, end);
    HiddenStrip hidden;
    hidden.find(task.lists, indices, chunk, chunk_end);
    Product messages, gates;
    message.multiply(messages, hidden, task, width, column, memory);
    gate.multiply(gates, hidden, task, width, column, memory);

    uint32_t y = threadIdx.x / 16 * 8, x = threadIdx.x % 16 * 4;
    bool has_columns = column + x < task.hidden;
    Vector<float> message_bias = zero(), gate_bias = zero();
    if (has_columns) {
      message_bias = load(floats + task.message_bias + column + x);
      gate_bias = load(floats + task.gate_bias + column + x);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
      Vector<float> m, a, gated;
#pragma unroll
      for (int c = 0; c < 4; c++) {
        m.v[c] = messages.sum[i][c] + message_bias.v[c];
        a.v[c] = sigmoid(gates.sum[i][c] + gate_bias.v[c]);
        gated.v[c] = m.v[c] * a.v[c];
      }
      store_floats<float>(memory + (y + i) * STAGE_PITCH + x, gated);
      if (task.messages != NONE && has_columns && chunk + y + i < chunk_end) {
        uint64_t to = static_cast<uint64_t>(chunk + y + i) * task.hidden + column + x;
        store(floats + task.messages + to, m);
        store(floats + task.gates + to, a);
      }
    }
    __syncthreads();
    // A thread keeps its nodes and its column from chunk to chunk: only a block of one node has several.
    for (uint32_t node = first_node + threadIdx.x / BLOCK; node < end_node; node += PRODUCT_THREADS / BLOCK) {
      uint32_t c = threadIdx.x % BLOCK;
      if (column + c >= task.hidden) continue;
      uint32_t from = indices[task.lists.offsets + node], to = indices[task.lists.offsets + node + 1];
      uint64_t place = task.received + static_cast<uint64_t>(node) * task.hidden + column + c;
      float sum = from < chunk ? floats[place] : 0.f;
      for (uint32_t edge = max(from, chunk); edge < min(to, chunk_end); edge++) sum += memory[(edge - chunk) * STAGE_PITCH + c];
      floats[place] = sum;
    }
    __syncthreads();
    chunk += BLOCK;
  } while (chunk < end);
}

// Backward up to what the dense products need: gradients of message and gate before the sigmoid, and both hidden layers
// once more.
//
// Shapes      dreceived (nodes, hidden); messages, gates (edges, hidden) become their gradients; hidden_layers (edges,
//             hidden + attention)
// Bytes       4 * edges * (5 * hidden + attention)
// Flops       edges * (8 * hidden + 3 * attention)
// Floor       bytes
// Block       32 edges by a slice of 32 columns of the hidden layers
struct GateGradient {
  uint64_t projected;
  uint64_t vectors;
  uint64_t dreceived;
  uint64_t messages;
  uint64_t gates;
  uint64_t hidden_layers;
  uint32_t edges;      // the most
  uint32_t hidden;
  uint32_t attention;
  uint32_t pitch;
  Lists lists;
};

extern "C" __global__ void __launch_bounds__(THREADS) gate_gradient(GateGradient task, const uint32_t* __restrict__ indices,
                                                                    float* floats) {
  uint32_t width = task.hidden + task.attention, slices = ceil_div(width, SLICE);
  Lanes lanes((blockIdx.x % slices) * SLICE, width, 4);
  constexpr uint32_t EDGES_A_BLOCK = THREADS / (SLICE / 4);
  uint32_t edge = blockIdx.x / slices * EDGES_A_BLOCK + lanes.row;
  if (!lanes.active || lanes.row >= EDGES_A_BLOCK || edge >= live(indices, 2, task.edges)) return;
  uint32_t source = indices[task.lists.sources + edge], destination = indices[task.lists.destinations + edge];
  uint32_t new_node = indices[task.lists.new_of + destination];
  const float* projected = floats + task.projected + lanes.channel;
  EdgeLayer layer(floats + task.vectors + lanes.channel, width);
  Vector<float> from = load(projected + static_cast<uint64_t>(source) * task.pitch);
  Vector<float> to = load(projected + static_cast<uint64_t>(destination) * task.pitch);
  Vector<float> value = layer.base(to, source == new_node, destination == new_node);
#pragma unroll
  for (int i = 0; i < 4; i++) value.v[i] = relu(from.v[i] + value.v[i]);
  store(floats + task.hidden_layers + static_cast<uint64_t>(edge) * width + lanes.channel, value);
  if (lanes.channel >= task.hidden) return;
  Vector<float> given = load(floats + task.dreceived + static_cast<uint64_t>(destination) * task.hidden + lanes.channel);
  uint64_t at = static_cast<uint64_t>(edge) * task.hidden + lanes.channel;
  Vector<float> m = load(floats + task.messages + at), a = load(floats + task.gates + at);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float before = given.v[i] * m.v[i] * a.v[i] * (1.f - a.v[i]);
    m.v[i] = given.v[i] * a.v[i];
    a.v[i] = before;
  }
  store(floats + task.messages + at, m);
  store(floats + task.gates + at, a);
}
