"""Inference engines on an ONNX file: with `streams` 1, one batch at a time on both threads; with 2, two batches at a
time on a thread each."""

from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import numpy as np

THREADS = 2


class OpenVino:
    def __init__(self, path: str, images: np.ndarray, streams: int):
        import openvino

        settings = {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": "f32"}
        model = openvino.Core().compile_model(path, "CPU", settings)
        self.requests = [model.create_infer_request() for _ in range(streams)]
        for request in self.requests:
            request.set_input_tensor(openvino.Tensor(images))

    def step(self) -> np.ndarray:
        for request in self.requests:
            request.start_async()
        for request in self.requests:
            request.wait()
        return self.requests[0].get_output_tensor().data


class OnnxRuntime:
    def __init__(self, path: str, images: np.ndarray, streams: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS // streams
        providers = ["CPUExecutionProvider"]
        self.sessions = [onnxruntime.InferenceSession(path, options, providers=providers) for _ in range(streams)]
        self.feed = {self.sessions[0].get_inputs()[0].name: images}
        self.pool = ThreadPoolExecutor(streams) if streams > 1 else None

    def step(self) -> np.ndarray:
        if self.pool is None:
            return self.run(self.sessions[0])
        return list(self.pool.map(self.run, self.sessions))[0]

    def run(self, session) -> np.ndarray:
        return session.run(None, self.feed)[0]


ENGINES: dict[str, Callable] = {"openvino": OpenVino, "onnxruntime": OnnxRuntime}
