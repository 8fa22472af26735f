"""A network as ONNX, in two forms of the same computation.

`ours` is the graph that `graphpnas-fast export --format onnx` writes (src/report/onnx): weighted inputs in one Sum, the
stage's output as Mean, batch norms as nodes of their own. `torch` is what torch.onnx.export makes: chains of Add, batch
norms folded into the convolutions. Engines differ in which they run faster, so both are measured.
"""

import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from randwire import Node, RandWire, Session

FORMS = "ours", "torch"
OPSET, IR_VERSION = 13, 8


def export(session: Session, form: str, path: str):
    """The network of a session in evaluation mode."""
    if form == "torch":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(session.model, (session.images,), path, dynamo=False, opset_version=OPSET, verbose=False)
    else:
        onnx.save(Exporter().model(session.model, session.images.shape), path)


class Exporter:
    def __init__(self):
        self.nodes, self.constants = [], []

    def model(self, network: RandWire, shape: tuple[int, ...]) -> onnx.ModelProto:
        x = self.norm(self.convolution("images", network.stem, "stem.raw"), network.stem_norm, "stem")
        for number, stage in enumerate(network.stages):
            outputs = []
            for node in stage.nodes:
                inputs = [outputs[i] for i in node.predecessors] or [x]
                outputs.append(self.node(node, inputs, f"stage.{number}.node.{len(outputs)}"))
            sinks = [outputs[sink] for sink in stage.sinks]
            x = self.add("Mean", sinks, f"stage.{number}.mean") if len(sinks) > 1 else sinks[0]
        x = self.norm(self.convolution(x, network.head, "head.raw"), network.head_norm, "head")
        pooled = self.add("GlobalAveragePool", [self.add("Relu", [x], "features.relu")], "features.pool")
        features = self.add("Flatten", [pooled], "features")
        layer = network.classifier
        weights = [self.constant("classifier.weight", layer.weight), self.constant("classifier.bias", layer.bias)]
        self.add("Gemm", [features] + weights, "logits", transB=1)
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], layer.out_features])
        graph = helper.make_graph(self.nodes, "network", [images], [logits], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def node(self, node: Node, inputs: list[str], name: str) -> str:
        x = inputs[0]
        if node.logits is not None:
            weights = [self.constant(f"{name}.weight.{i}", w) for i, w in enumerate(torch.sigmoid(node.logits))]
            terms = [self.add("Mul", [x, w], f"{name}.term.{i}") for i, (x, w) in enumerate(zip(inputs, weights))]
            x = self.add("Sum", terms, f"{name}.sum")
        active = self.add("Relu", [x], f"{name}.relu")
        spatial = self.convolution(active, node.depthwise, f"{name}.depthwise")
        return self.norm(self.convolution(spatial, node.pointwise, f"{name}.raw"), node.norm, name)

    def convolution(self, x: str, layer: torch.nn.Conv2d, name: str) -> str:
        size, stride, pads = list(layer.kernel_size), list(layer.stride), list(layer.padding) * 2
        weight = self.constant(f"{name}.weight", layer.weight)
        return self.add("Conv", [x, weight], name, group=layer.groups, kernel_shape=size, pads=pads, strides=stride)

    def norm(self, x: str, layer: torch.nn.BatchNorm2d, name: str) -> str:
        tensors = {"gamma": layer.weight, "beta": layer.bias, "mean": layer.running_mean, "variance": layer.running_var}
        inputs = [self.constant(f"{name}.{key}", tensor) for key, tensor in tensors.items()]
        return self.add("BatchNormalization", [x] + inputs, name, epsilon=layer.eps)

    def add(self, operator: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, tensor: torch.Tensor) -> str:
        values = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
        self.constants.append(numpy_helper.from_array(values, name))
        return name
