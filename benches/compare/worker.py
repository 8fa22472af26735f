"""A rival in a process of its own: loads, compiles and warms up once, then measures when it is told to.

It prints JSON lines: {"first": RESULT, "libraries_mb": M} after its first step, M being what its libraries take;
{"ready": true} when warm; for each line "go S" on its standard input {"steps": N, "seconds": T} of steps that fill at
least S seconds; for "peak" {"peak_mb": M}. The `check` kinds print one line and end.
"""

import argparse
import importlib
import json
import os
import sys
import time
from typing import Callable

import numpy as np

from workload import Workload


def memory_mb(key: str) -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key + ":"))


def say(**fields):
    print(json.dumps(fields), flush=True)


def measure(step: Callable, seconds: float):
    step()  # the others have had the caches
    steps, start = 0, time.perf_counter()
    while True:
        step()
        steps += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return say(steps=steps, seconds=passed)


def serve(args):
    importlib.import_module(LIBRARIES[args.kind])
    libraries_mb = memory_mb("VmRSS")
    step = STEPS[args.kind](args)
    say(first=step(), libraries_mb=libraries_mb)
    for _ in range(3):
        step()
    say(ready=True)
    for line in sys.stdin:
        word, *seconds = line.split()
        if word == "go":
            measure(step, float(seconds[0]))
        else:
            say(peak_mb=memory_mb("VmHWM"))


def difference(logits, args) -> float:
    """From the logits that the check left, relative to the largest of them."""
    expected = np.load(os.path.join(args.exported, "logits.npy"))
    return float(np.abs(np.asarray(logits) - expected).max() / np.abs(expected).max())


def train(args) -> Callable:
    import randwire

    workload = Workload(args.workload)
    session = randwire.Session(workload, workload.dropout)
    if args.compile:
        session.compile()
    return session.train


def evaluate(args) -> Callable:
    import randwire
    import torch

    session = randwire.Session(Workload(args.workload), 0.0)
    session.model.load_state_dict(torch.load(os.path.join(args.exported, "weights.pt")))
    session.model.eval()
    if args.compile:
        session.freeze()
    return judged(session.evaluate, args)


def engine(args) -> Callable:
    from engines import ENGINES

    path = os.path.join(args.exported, f"{args.form}.onnx")
    return judged(ENGINES[args.kind](path, Workload(args.workload).images(), args.streams).step, args)


def judged(step: Callable, args) -> Callable:
    """The step, whose first call returns how far its logits are from the expected ones."""
    calls = iter([lambda: difference(step(), args)])
    return lambda: next(calls, step)()


def generate(args) -> Callable:
    import generator

    variant = generator.Variant(generator.SIZES[args.size], args.attention, args.factored)
    session = generator.Session(variant, args.graphs, args.batch)
    if args.compile:
        session.compile()
    return session.train if args.mode == "train" else session.sample


def check_network(args):
    """The losses that every engine must reproduce; leaves the trained network for the evaluations."""
    import onnx_export
    import randwire
    import torch

    session = randwire.Session(Workload(args.workload), 0.0)
    losses = [session.train() for _ in range(5)]
    session.model.eval()
    logits = session.evaluate()
    losses.append(session.loss(logits, session.labels).item())
    np.save(os.path.join(args.exported, "logits.npy"), logits.numpy())
    torch.save(session.model.state_dict(), os.path.join(args.exported, "weights.pt"))
    for form in onnx_export.FORMS:
        onnx_export.export(session, form, os.path.join(args.exported, f"{form}.onnx"))
    say(losses=losses)


def check_generator(args):
    step = generate(args)
    say(losses=[step() for _ in range(4)])


# A step's first result is what the rival is judged by: a loss, edges drawn, or how far the logits are off.
STEPS = {"train": train, "eval": evaluate, "openvino": engine, "onnxruntime": engine, "generator": generate}
LIBRARIES = {kind: kind if step is engine else "torch" for kind, step in STEPS.items()}
CHECKS = {"check-network": check_network, "check-generator": check_generator}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*STEPS, *CHECKS])
    parser.add_argument("--workload", help="a workload file")
    parser.add_argument("--exported", help="folder in which check-network leaves the network for the evaluations")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--form", help="which ONNX file")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--size", choices=["workload", "authors"], default="workload", help="the generator's")
    parser.add_argument("--graphs", help="file of the generator's graphs; without it, random ones")
    parser.add_argument("--mode", choices=["train", "sample"], default="train")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--attention", action="store_true")
    parser.add_argument("--factored", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    if arguments.kind in CHECKS:
        CHECKS[arguments.kind](arguments)
    else:
        serve(arguments)
