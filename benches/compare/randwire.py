"""A workload's RandWire network in PyTorch, and its training and evaluation steps.

  stem   conv3x3 (to C/2 channels), batch norm; no ReLU, since each node begins with one
  node   input: the stage's input, or the one predecessor, or sum_i sigmoid(w_i) * predecessor_i
         then ReLU, depthwise conv3x3, conv1x1, batch norm
  stage  the mean of the nodes without successors
  head   conv1x1, batch norm, ReLU, global average pool, dropout, classifier
Loss: cross-entropy, label smoothing 0.1. SGD: rate 0.1, momentum 0.9, weight decay 5e-5 on every parameter.
"""

import torch
import torch.nn.functional as F
from torch import nn

from workload import NodePlan, StagePlan, Workload, weight


class Node(nn.Module):
    def __init__(self, plan: NodePlan):
        super().__init__()
        self.predecessors = plan.predecessors
        self.logits = nn.Parameter(torch.zeros(len(plan.predecessors))) if len(plan.predecessors) > 1 else None
        width = plan.channels_in
        self.depthwise = nn.Conv2d(width, width, 3, plan.stride, 1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, plan.channels_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(plan.channels_out)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        x = inputs[0]
        if self.logits is not None:
            weights = torch.sigmoid(self.logits).unbind()
            x = weights[0] * x
            for edge, other in zip(weights[1:], inputs[1:]):
                x = x + edge * other
        return self.norm(self.pointwise(self.depthwise(F.relu(x))))


class Stage(nn.Module):
    def __init__(self, plan: StagePlan):
        super().__init__()
        self.nodes = nn.ModuleList(Node(node) for node in plan.nodes)
        self.sinks = plan.sinks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for node in self.nodes:
            outputs.append(node([outputs[i] for i in node.predecessors] or [x]))
        total = outputs[self.sinks[0]]
        for sink in self.sinks[1:]:
            total = total + outputs[sink]
        return total / len(self.sinks) if len(self.sinks) > 1 else total


class RandWire(nn.Module):
    def __init__(self, workload: Workload, dropout: float):
        super().__init__()
        plan = workload.plan()
        self.stem = nn.Conv2d(
            workload.image_channels, workload.channels // 2, 3, workload.stem_stride, 1, bias=False
        )
        self.stem_norm = nn.BatchNorm2d(workload.channels // 2)
        self.stages = nn.ModuleList(Stage(stage) for stage in plan)
        self.head = nn.Conv2d(plan[-1].nodes[-1].channels_out, workload.head, 1, bias=False)
        self.head_norm = nn.BatchNorm2d(workload.head)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(workload.head, workload.classes)
        self.fill()

    @torch.no_grad()
    def fill(self):
        layers = [module for module in self.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
        for stream, layer in enumerate(layers, 1):
            layer.weight.copy_(torch.from_numpy(weight(stream, tuple(layer.weight.shape))))
        self.classifier.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem_norm(self.stem(x))
        for stage in self.stages:
            x = stage(x)
        x = F.relu(self.head_norm(self.head(x)))
        return self.classifier(self.dropout(x.mean((2, 3))))


class Session:
    """The network on its one fixed batch, channels last, as PyTorch is fastest on a CPU."""

    def __init__(self, workload: Workload, dropout: float):
        torch.manual_seed(0)
        self.model = RandWire(workload, dropout).to(memory_format=torch.channels_last)
        self.net, self.without_gradients = self.model, torch.inference_mode
        self.images = torch.from_numpy(workload.images()).to(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(workload.labels())
        parameters = self.model.parameters()
        self.optimiser = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=5e-5, fused=True)
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)

    def compile(self):
        self.net = torch.compile(self.model)

    def freeze(self):
        """Lets the compiler fold the weights into an evaluation."""
        import torch._inductor.config as inductor

        inductor.freezing = True
        self.without_gradients = torch.no_grad  # the compiler cannot freeze under inference_mode
        self.compile()

    def train(self) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.net(self.images), self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def evaluate(self) -> torch.Tensor:
        """Logits, of a model in evaluation mode."""
        with self.without_gradients():
            return self.net(self.images)
