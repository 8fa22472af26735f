"""The exactly specified work: workload files, the plan of their network, and the deterministic fill.

Every engine starts from the same numbers without sharing a file:
  u(stream, k)  = (splitmix64(stream * 2**32 + k) >> 40) / 2**24                 in [0, 1)
  weight tensor number t (t = 1, 2, ... over convolution and classifier weights in canonical order), element k in
  row-major OIHW order: (2u - 1) * sqrt(6 / fan_in), stream t
  images: (2u - 1) * sqrt(3), stream 1_000_000; labels: floor(u * classes), stream 1_000_001
  batch norm: gamma 1, beta 0; classifier's bias 0; aggregation logits 0
Canonical order: stem; for each stage, for each node: depthwise, pointwise; head; classifier.
"""

import json
from dataclasses import dataclass

import numpy as np

IMAGES, LABELS = 1_000_000, 1_000_001


@dataclass
class NodePlan:
    predecessors: list[int]  # none: the node reads the stage's input
    channels_in: int
    channels_out: int
    stride: int


@dataclass
class StagePlan:
    nodes: list[NodePlan]
    sinks: list[int]  # nodes without successors: the stage's output is their mean


class Workload:
    def __init__(self, path: str):
        with open(path) as file:
            fields = json.load(file)
        self.name = fields["name"]
        self.image_channels, self.image_size = fields["image"]["channels"], fields["image"]["size"]
        self.channels, self.stem_stride = fields["channels"], fields["stem_stride"]
        self.head, self.classes, self.batch = fields["head"], fields["classes"], fields["batch"]
        self.dropout = fields["dropout"]
        self.stages = list(zip(fields["stages"], fields["stage_strides"]))

    def plan(self) -> list[StagePlan]:
        """The stages; stage s has `channels * 2**s` channels."""
        plans, channels_in = [], self.channels // 2
        for number, (graph, stride) in enumerate(self.stages):
            channels = self.channels << number
            predecessors = [[i for i, j in graph["edges"] if j == node] for node in range(graph["nodes"])]
            sources = {i for i, _ in graph["edges"]}
            nodes = [
                NodePlan(before, channels, channels, 1) if before else NodePlan([], channels_in, channels, stride)
                for before in predecessors
            ]
            plans.append(StagePlan(nodes, [node for node in range(graph["nodes"]) if node not in sources]))
            channels_in = channels
        return plans

    def images(self) -> np.ndarray:
        """(batch, channels, size, size)"""
        shape = (self.batch, self.image_channels, self.image_size, self.image_size)
        return ((2 * uniform(IMAGES, int(np.prod(shape))) - 1) * np.sqrt(3.0)).astype(np.float32).reshape(shape)

    def labels(self) -> np.ndarray:
        return np.floor(uniform(LABELS, self.batch) * self.classes).astype(np.int64)


def uniform(stream: int, count: int) -> np.ndarray:
    """u(stream, 0 .. count - 1)"""
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(stream << 32) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


def weight(stream: int, shape: tuple[int, ...]) -> np.ndarray:
    fan_in = int(np.prod(shape[1:]))
    return ((2 * uniform(stream, int(np.prod(shape))) - 1) * np.sqrt(6.0 / fan_in)).astype(np.float32).reshape(shape)
