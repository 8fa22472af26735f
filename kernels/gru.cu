// The GRU cell's pointwise part, as torch.nn.GRUCell defines it; its products are dense.cu's.
//
//   r = sigmoid(a_r + b_r + c_r + d_r)   z = sigmoid(a_z + ..)   n = tanh(a_n + b_n + r (c_n + d_n))   h' = (1 - z) n + z h
//
// a: of what a node received, c: of its state h; b and d are their biases.
//
// Shapes      gates (nodes, 3 hidden): a becomes r, z, n; from_hidden (nodes, pitch): c, from `from_hidden` on;
//             biases (2, 3 hidden); state, next (nodes, hidden)
// Bytes       4 * nodes * 11 * hidden
// Flops       about 60 * nodes * hidden
// Floor       bytes
// Block       32 nodes by a slice of 32 columns
#include "generator.cuh"

constexpr uint32_t NODES_A_BLOCK = THREADS / (SLICE / 4);

struct Gru {
  uint64_t gates;
  uint64_t from_hidden;
  uint64_t biases;
  uint64_t state;
  uint64_t next;
  uint32_t nodes;   // the most
  uint32_t hidden;
  uint32_t pitch;
  uint32_t reserved;
};

// Four columns of the three gates.
struct Thirds {
  Vector<float> part[3];

  __device__ __forceinline__ Thirds() {}
  __device__ __forceinline__ Thirds(const float* from, uint32_t hidden)
      : part{load(from), load(from + hidden), load(from + 2 * hidden)} {}
  __device__ __forceinline__ void store_to(float* to, uint32_t hidden) const {
#pragma unroll
    for (int i = 0; i < 3; i++) store(to + i * hidden, part[i]);
  }
};

struct Cell {
  uint32_t node;
  uint32_t column;
  bool valid;

  __device__ __forceinline__ Cell(uint32_t hidden, uint32_t nodes) {
    uint32_t slices = ceil_div(hidden, SLICE);
    Lanes lanes((blockIdx.x % slices) * SLICE, hidden, 4);
    node = blockIdx.x / slices * NODES_A_BLOCK + lanes.row;
    column = lanes.channel;
    valid = lanes.active && lanes.row < NODES_A_BLOCK && node < nodes;
  }
};

extern "C" __global__ void __launch_bounds__(THREADS) gru(Gru task, const uint32_t* __restrict__ indices, float* floats) {
  Cell at(task.hidden, live(indices, 1, task.nodes));
  if (!at.valid) return;
  uint64_t node = at.node, one = node * task.hidden + at.column;
  float* gates = floats + task.gates + node * 3 * task.hidden + at.column;
  const float* biases = floats + task.biases + at.column;
  Thirds a(gates, task.hidden), c(floats + task.from_hidden + node * task.pitch + at.column, task.hidden);
  Thirds b(biases, task.hidden), d(biases + 3 * task.hidden, task.hidden);
  Vector<float> h = load(floats + task.state + one), next;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float r = sigmoid(a.part[0].v[i] + b.part[0].v[i] + (c.part[0].v[i] + d.part[0].v[i]));
    float z = sigmoid(a.part[1].v[i] + b.part[1].v[i] + (c.part[1].v[i] + d.part[1].v[i]));
    float n = tanhf(a.part[2].v[i] + b.part[2].v[i] + r * (c.part[2].v[i] + d.part[2].v[i]));
    a.part[0].v[i] = r, a.part[1].v[i] = z, a.part[2].v[i] = n;
    next.v[i] = (1.f - z) * n + z * h.v[i];
  }
  a.store_to(gates, task.hidden);
  store(floats + task.next + one, next);
}

// Backward, from the gradient of h': those of a, of c, and what reaches h directly.
//
// Shapes      dnext, dstate (nodes, hidden); dgates (nodes, 3 hidden); dfrom_hidden (nodes, pitch); the others as above
// Bytes       4 * nodes * 13 * hidden
// Flops       about 25 * nodes * hidden
// Floor       bytes
struct GruGradient {
  uint64_t gates;
  uint64_t from_hidden;
  uint64_t biases;
  uint64_t state;
  uint64_t dnext;
  uint64_t dgates;
  uint64_t dfrom_hidden;
  uint64_t dstate;
  uint32_t nodes;   // the most
  uint32_t hidden;
  uint32_t pitch;   // of from_hidden and dfrom_hidden
  uint32_t reserved;
};

extern "C" __global__ void __launch_bounds__(THREADS) gru_gradient(GruGradient task, const uint32_t* __restrict__ indices,
                                                                   float* floats) {
  Cell at(task.hidden, live(indices, 1, task.nodes));
  if (!at.valid) return;
  uint64_t node = at.node, one = node * task.hidden + at.column, three = node * 3 * task.hidden + at.column;
  uint64_t wide = node * task.pitch + at.column;
  Thirds gates(floats + task.gates + three, task.hidden), da, dc;
  Vector<float> candidate = load(floats + task.from_hidden + wide + 2 * task.hidden);
  Vector<float> bias = load(floats + task.biases + 5 * task.hidden + at.column);
  Vector<float> h = load(floats + task.state + one), given = load(floats + task.dnext + one), direct;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float r = gates.part[0].v[i], z = gates.part[1].v[i], n = gates.part[2].v[i], d = given.v[i];
    float dn = d * (1.f - z) * (1.f - n * n);
    float dr = dn * (candidate.v[i] + bias.v[i]) * r * (1.f - r);
    float dz = d * (h.v[i] - n) * z * (1.f - z);
    da.part[0].v[i] = dr, da.part[1].v[i] = dz, da.part[2].v[i] = dn;
    dc.part[0].v[i] = dr, dc.part[1].v[i] = dz, dc.part[2].v[i] = dn * r;
    direct.v[i] = d * z;
  }
  da.store_to(floats + task.dgates + three, task.hidden);
  dc.store_to(floats + task.dfrom_hidden + wide, task.hidden);
  store(floats + task.dstate + one, direct);
}
