// What the graph generator's kernels share: a batch of prefix graphs in compressed rows.
//
// Everything in f32 lies in one arena, `floats`; widths are padded with zeros to multiples of 8, and so are the parameters,
// whose padding has gradients of zero. What changes from step to step lies in `indices` and `doubles`, at places that
// depend on the most that a batch may hold, so that a captured step can be replayed for other graphs: blocks beyond what
// the batch has end at once.
#pragma once
#include "common.cuh"

constexpr uint32_t NO_LIST = ~0u;

// How much of what the batch has, and the step's settings; the first 16 numbers of `indices`.
struct Batch {
  uint32_t all;       // more than anything
  uint32_t nodes;
  uint32_t edges;     // directed, both directions of each
  uint32_t prefixes;
  uint32_t graphs;
  uint32_t tiles;     // of nodes, by their edges
  uint32_t reserved[2];
  float rate;         // of Adam, its first moment's starting bias divided out
  float scale;        // one over the root of the second moment's starting bias
  uint32_t unused[6];
};

// Where the batch's lists begin in `indices`.
struct Lists {
  uint32_t offsets;      // (nodes + 1): edges into a node
  uint32_t sources;      // (edges): a neighbour of the node; sorted by node, the new node last
  uint32_t destinations; // (edges)
  uint32_t reverse;      // (edges): the same edge in the other direction
  uint32_t new_of;       // (nodes): the new node of the node's prefix
  uint32_t numbers;      // (nodes): in its graph
  uint32_t rows;         // (nodes, 4): bit j: node j of the graph feeds the node
  uint32_t prefix_of;    // (nodes)
  uint32_t first_node;   // (prefixes + 1); a prefix's last node is the new one
  uint32_t graph_of;     // (prefixes)
  uint32_t first_prefix; // (graphs + 1)
  uint32_t target_rows;  // (prefixes, 4)
  uint32_t target_operators;  // (prefixes)
  uint32_t tile_nodes;   // (tiles + 1): first node of each tile
};

__device__ __forceinline__ const Batch& batch(const uint32_t* indices) { return *reinterpret_cast<const Batch*>(indices); }

// One of the counts of the batch, by its place.
__device__ __forceinline__ uint32_t live(const uint32_t* indices, uint32_t count, uint32_t most) {
  return min(most, indices[count]);
}

__device__ __forceinline__ Vector<float> zero() { return Vector<float>::filled(0.f); }

// A first layer of the edge networks for one end of an edge: `relu(p_u - p_v + bias + marks)` for u -> v, four columns.
struct EdgeLayer {
  Vector<float> bias;
  Vector<float> marks[2];  // of edges from the new node, and into it

  // `vectors` (3, columns)
  __device__ __forceinline__ EdgeLayer(const float* vectors, uint32_t columns)
      : bias(load(vectors)), marks{load(vectors + columns), load(vectors + 2 * columns)} {}

  // What an edge adds to its source's share, given its destination's. Added up as on the CPU.
  __device__ __forceinline__ Vector<float> base(const Vector<float>& destination, bool from_new, bool into_new) const {
    Vector<float> r;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      r.v[i] = bias.v[i] - destination.v[i];
      if (from_new) r.v[i] += marks[0].v[i];
      if (into_new) r.v[i] += marks[1].v[i];
    }
    return r;
  }
};
