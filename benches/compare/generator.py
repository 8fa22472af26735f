"""A graph generator like GRAN with block size 1, in PyTorch: training and sampling steps.

Graphs have n = 32 nodes in topological order, A[t][j] = 1 when edge j -> t; step t = 1 .. 31 decides A[t][0 .. t-1].
  state    of j < t: linear(row A[j]) of H = 128; of the new node t: 0
  edges    at step t, both directions: those among 0 .. t-1, and (t, j) for all j < t
  round    seven, own weights each:
           message  W2 relu(W1 [h_source - h_target; source new; target new] + b1) + b2
                    with attention times sigmoid(V2 relu(V1 [same] + c1) + c2)
           update   a GRU cell on the sum of a node's messages
  output   theta, alpha = MLPs of h_t - h_j for each j < t, K = 20 wide; alpha is averaged over j, then log-softmax
           log p(row t) = logsumexp_k(log alpha_k + sum_j log Bernoulli(A[t][j]; sigmoid(theta_jk)))
Loss: -log p of a graph, mean over the batch; Adam, rate 1e-3. Training takes all steps of all graphs as one batch of
disjoint graphs, indexed outside of the timed step. Sampling takes the steps in order and indexes inside.
`factored` computes W1 (h_source - h_target) as (W1 h)_source - (W1 h)_target: half of the products on edges.
Fill: stream 2_000_000 + t for the t-th matrix, (2u - 1) / sqrt(fan in); biases 0, but theta's last -2.

At the authors' size n = 7, H = 24, K = 10, the gate's hidden layer is 128 wide, and a head like theta's decides one of five
operators for each new node from its h. Their node numbers among the features are left out.
"""

import json
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from workload import uniform

ROUNDS = 7
WEIGHTS = 2_000_000


@dataclass(frozen=True)
class Size:
    nodes: int
    hidden: int
    gate: int  # width of the gate's hidden layer
    mixtures: int
    operators: int  # 0: nodes have none
    edges: int  # of random graphs, where no file gives others


SIZES = {"workload": Size(32, 128, 128, 20, 0, 64), "authors": Size(7, 24, 128, 10, 5, 9)}


@dataclass
class Variant:
    size: Size
    attention: bool
    factored: bool


def mlp(*widths: int) -> nn.Sequential:
    layers = []
    for width_in, width_out in zip(widths, widths[1:]):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Round(nn.Module):
    def __init__(self, variant: Variant):
        super().__init__()
        hidden, gate = variant.size.hidden, variant.size.gate
        self.hidden, self.factored = hidden, variant.factored
        self.message = mlp(hidden + 2, hidden, hidden)
        self.gate = mlp(hidden + 2, gate, hidden) if variant.attention else None
        self.update = nn.GRUCell(hidden, hidden)

    def on_edges(self, network: nn.Sequential, h, edges: "Edges") -> torch.Tensor:
        """The two-layer network on [h_source - h_target; is_new] of each edge."""
        source, target = edges.source, edges.target
        first = network[0]
        if self.factored:
            u = F.linear(h, first.weight[:, : self.hidden])
            x = u.index_select(0, source) - u.index_select(0, target)
            x = x + F.linear(edges.is_new, first.weight[:, self.hidden :], first.bias)
        else:
            x = first(torch.cat([h.index_select(0, source) - h.index_select(0, target), edges.is_new], 1))
        return network[2](F.relu(x))

    def forward(self, h, edges: "Edges"):
        message = self.on_edges(self.message, h, edges)
        if self.gate is not None:
            message = message * torch.sigmoid(self.on_edges(self.gate, h, edges))
        received = torch.zeros_like(h).scatter_add(0, edges.target[:, None].expand(-1, self.hidden), message)
        return self.update(received, h)


class Generator(nn.Module):
    def __init__(self, variant: Variant):
        super().__init__()
        size = self.size = variant.size
        self.input = nn.Linear(size.nodes, size.hidden)
        self.rounds = nn.ModuleList(Round(variant) for _ in range(ROUNDS))
        self.theta = mlp(size.hidden, size.hidden, size.hidden, size.mixtures)
        self.alpha = mlp(size.hidden, size.hidden, size.hidden, size.mixtures)
        self.operator = mlp(size.hidden, size.hidden, size.hidden, size.operators) if size.operators else None
        self.fill()

    @torch.no_grad()
    def fill(self):
        for bias in (p for p in self.parameters() if p.dim() == 1):
            bias.zero_()
        for number, matrix in enumerate((p for p in self.parameters() if p.dim() == 2), 1):
            values = (2 * uniform(WEIGHTS + number, matrix.numel()) - 1) / np.sqrt(matrix.shape[1])
            matrix.copy_(torch.from_numpy(values.astype(np.float32).reshape(matrix.shape)))
        self.theta[-1].bias.fill_(-2.0)

    def states(self, rows, is_new, edges: "Edges"):
        h = self.input(rows) * (1 - is_new)[:, None]
        for layer in self.rounds:
            h = layer(h, edges)
        return h

    def output(self, h, pairs: "Pairs"):
        """theta of each pair, log alpha of each group of pairs."""
        difference = h.index_select(0, pairs.new) - h.index_select(0, pairs.old)
        alpha = torch.zeros(len(pairs.sizes), self.size.mixtures).index_add(0, pairs.group, self.alpha(difference))
        return self.theta(difference), F.log_softmax(alpha / pairs.sizes[:, None], 1)

    def loss(self, batch: "TrainingBatch"):
        h = self.states(batch.rows, batch.is_new, batch.edges)
        theta, log_alpha = self.output(h, batch.pairs)
        expected = batch.expected[:, None].expand(-1, self.size.mixtures)
        bernoulli = -F.binary_cross_entropy_with_logits(theta, expected, reduction="none")
        rows = torch.zeros(len(batch.pairs.sizes), self.size.mixtures).index_add(0, batch.pairs.group, bernoulli)
        loss = -torch.logsumexp(log_alpha + rows, 1).sum() / batch.graphs
        if self.operator is not None:
            logits = self.operator(h.index_select(0, batch.new))
            loss = loss + F.cross_entropy(logits, batch.operators, reduction="sum") / batch.graphs
        return loss


@dataclass
class Edges:
    source: torch.Tensor
    target: torch.Tensor
    is_new: torch.Tensor  # (edges, 2): whether source and target are

    @staticmethod
    def of(source, target, is_new) -> "Edges":
        return Edges(source, target, torch.stack([is_new[source], is_new[target]], 1))


@dataclass
class Pairs:
    """Every (new node, earlier node) of some graphs at their steps; a group is one graph at one step."""

    new: torch.Tensor
    old: torch.Tensor
    group: torch.Tensor
    sizes: torch.Tensor  # pairs of each group


@dataclass
class TrainingBatch:
    graphs: int
    rows: torch.Tensor
    is_new: torch.Tensor
    edges: Edges
    pairs: Pairs
    expected: torch.Tensor  # A[t][j] of each pair
    new: torch.Tensor  # the new node of each group
    operators: torch.Tensor  # and its operator


def pairs_of_step(step: int, graphs: int) -> Pairs:
    """Nodes of graph g at this step are numbered from g * (step + 1)."""
    graph = torch.arange(graphs)
    new = (graph * (step + 1) + step).repeat_interleave(step)
    old = (graph[:, None] * (step + 1) + torch.arange(step)).reshape(-1)
    return Pairs(new, old, graph.repeat_interleave(step), torch.full((graphs,), float(step)))


def edges_of_step(step: int, graphs: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources and targets, for graphs whose edges among the nodes before `step` are given as (edges, 2)."""
    joined = np.stack([np.full(step, step), np.arange(step)], 1)
    both = []
    for number, edges in enumerate(graphs):
        edges = np.concatenate([edges, joined]) + number * (step + 1)
        both += [edges, edges[:, ::-1]]
    both = np.concatenate(both)
    return torch.from_numpy(both[:, 0].copy()), torch.from_numpy(both[:, 1].copy())


def is_new(step: int, graphs: int) -> torch.Tensor:
    return (torch.arange(step + 1) == step).float().repeat(graphs)


def read_graphs(graphs_file: str, count: int) -> list[np.ndarray]:
    """The edges of the file's graphs, cycled to `count`."""
    with open(graphs_file) as file:
        graphs = [np.array(graph["edges"]) for graph in json.load(file)]
    return [graphs[i % len(graphs)] for i in range(count)]


def random_graphs(size: Size, count: int) -> list[np.ndarray]:
    """Edges of random graphs."""
    pairs = np.array([(j, t) for t in range(size.nodes) for j in range(t)])
    random = np.random.default_rng(0)
    return [pairs[np.sort(random.choice(len(pairs), size.edges, replace=False))] for _ in range(count)]


def training_batch(size: Size, graphs: list[np.ndarray]) -> TrainingBatch:
    """All steps of some graphs."""
    count = len(graphs)
    adjacency = torch.zeros(count, size.nodes, size.nodes)
    for graph, edges in enumerate(graphs):
        adjacency[graph, edges[:, 1], edges[:, 0]] = 1
    columns, nodes, groups = [], 0, 0
    for step in range(0 if size.operators else 1, size.nodes):
        source, target = edges_of_step(step, [edges[edges[:, 1] < step] for edges in graphs])
        pairs = pairs_of_step(step, count)
        new_marks = is_new(step, count)
        column = [adjacency[:, : step + 1].reshape(-1, size.nodes), new_marks, source + nodes, target + nodes]
        column += [pairs.new + nodes, pairs.old + nodes, pairs.group + groups, pairs.sizes.clamp(min=1)]
        columns.append(column + [adjacency[:, step, :step].reshape(-1), new_marks.nonzero().squeeze(1) + nodes])
        nodes, groups = nodes + count * (step + 1), groups + count
    rows, new_marks, source, target, new, old, group, sizes, expected, last = map(torch.cat, zip(*columns))
    edges = Edges.of(source, target, new_marks)
    operators = torch.arange(len(last)) % max(size.operators, 1)
    return TrainingBatch(count, rows, new_marks, edges, Pairs(new, old, group, sizes), expected, last, operators)


@torch.inference_mode()
def sample(model: Generator, count: int) -> torch.Tensor:
    """Adjacency matrices of `count` graphs."""
    size = model.size
    adjacency = torch.zeros(count, size.nodes, size.nodes)
    graphs = [np.zeros((0, 2), np.int64) for _ in range(count)]
    for step in range(1, size.nodes):
        new_marks = is_new(step, count)
        edges = Edges.of(*edges_of_step(step, graphs), new_marks)
        h = model.states(adjacency[:, : step + 1].reshape(-1, size.nodes), new_marks, edges)
        theta, log_alpha = model.output(h, pairs_of_step(step, count))
        mixture = torch.multinomial(log_alpha.exp(), 1)[:, None].expand(-1, step, 1)
        row = torch.bernoulli(torch.sigmoid(theta.view(count, step, MIXTURES).gather(2, mixture).squeeze(2)))
        adjacency[:, step, :step] = row
        for graph, drawn in enumerate(row.numpy()):
            old = np.nonzero(drawn)[0]
            graphs[graph] = np.concatenate([graphs[graph], np.stack([old, np.full(len(old), step)], 1)])
    return adjacency


class Session:
    """A generator and its fixed batch."""

    def __init__(self, variant: Variant, graphs_file: str | None, count: int):
        torch.manual_seed(0)
        self.model, self.count = Generator(variant), count
        graphs = read_graphs(graphs_file, count) if graphs_file else random_graphs(variant.size, count)
        self.batch = training_batch(variant.size, graphs)
        self.loss = self.model.loss
        self.optimiser = torch.optim.Adam(self.model.parameters(), 1e-3, fused=True)

    def compile(self):
        self.loss = torch.compile(self.model.loss)

    def train(self) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.batch)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def sample(self) -> float:
        """Edges drawn."""
        return sample(self.model, self.count).sum().item()
