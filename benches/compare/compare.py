"""Compares graphpnas-fast with PyTorch, OpenVINO and onnxruntime on the same exactly specified work: see README.md."""

import argparse
import json
import os
import sys
import tempfile
from itertools import product
from typing import Iterator

import checks
from contestants import Expected, Failed
from ours import Ours, Profile, ProfileGenerator
from rivals import Rival, allocator
from rounds import Table, text

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORKLOADS = os.path.join(REPOSITORY, "tests", "data", "workloads")
GRAPHS = os.path.join(REPOSITORY, "src", "generator", "tests", "watts-strogatz-32.json")
PARTS = "train", "candidates", "eval", "generator"


class Network:
    """The tables of one workload."""

    def __init__(self, name: str, args: argparse.Namespace, scratch: str):
        self.name, self.binary = name, args.binary
        self.torch = {"torch eager": []} if args.no_compile else {"torch eager": [], "torch compiled": ["--compile"]}
        self.path, self.exported = os.path.join(WORKLOADS, f"{name}.json"), os.path.join(scratch, name)
        with open(self.path) as file:
            self.batch = json.load(file)["batch"]

    def check(self):
        os.makedirs(self.exported, exist_ok=True)
        checks.network(self.binary, self.path, self.name, self.exported)

    def train(self) -> Table:
        rivals = [self.trainer(name, options) for name, options in self.torch.items()]
        return Table(f"{self.name}: training, one network, two threads", "images/s", self.ours(), rivals)

    def candidates(self) -> Table:
        rivals = [self.trainer(name, options, threads=1, processes=2) for name, options in self.torch.items()]
        ours = self.ours("--candidates", "2")
        return Table(f"{self.name}: training, two networks at once, one thread each", "images/s", ours, rivals)

    def trainer(self, name: str, options: list[str], **more) -> Rival:
        # With dropout a first loss is only near the one without.
        loss = checks.NETWORKS[self.name][0]
        arguments = ["train", "--workload", self.path, *options]
        return Rival(name, arguments, self.batch, expected=Expected(loss, 0.1 * loss), **more)

    def eval(self) -> Table:
        rivals = [self.evaluator(name, "eval", options) for name, options in self.torch.items()]
        for engine, streams, form in product(("openvino", "onnxruntime"), (1, 2), ("ours", "torch")):
            options = ["--streams", str(streams), "--form", form]
            # tcmalloc does not help onnxruntime, and OpenVINO's own allocation crashes under it.
            rivals.append(self.evaluator(f"{engine}, {streams} at once, form {form}", engine, options, preload=False))
        return Table(f"{self.name}: evaluation, two threads", "images/s", self.ours("--mode", "eval"), rivals)

    def evaluator(self, name: str, kind: str, options: list[str], **more) -> Rival:
        arguments = [kind, "--workload", self.path, "--exported", self.exported, *options]
        streams = int(options[1]) if "--streams" in options else 1
        # The first result is how far the logits are from those of the check, relative to the largest.
        return Rival(name, arguments, self.batch * streams, expected=Expected(0.0, 1e-4), **more)

    def ours(self, *more: str) -> Ours:
        return Profile(self.binary, ["profile", self.path, "--threads", "2", *more])


def generator_tables(args: argparse.Namespace) -> Iterator[Table]:
    for batch, mode in product((16, 64), ("train", "sample")):
        yield generator_table(args.binary, mode, batch, attention=False)
    for mode in ("train", "sample"):
        yield generator_table(args.binary, mode, 16, attention=True)
    yield authors_table(args)


def authors_table(args: argparse.Namespace) -> Table:
    """A step of NAS-Bench-101's generator as the authors fit it. Not the same numbers, but the same shapes."""
    options = ["--size", "authors", "--mode", "train", "--batch", "2", "--attention"]
    forms = {"plain": [], "factored": ["--factored"]}
    if not args.no_compile:
        forms["factored, compiled"] = ["--factored", "--compile"]
    rivals = [Rival(f"torch {name}", ["generator", *options, *more], 2) for name, more in forms.items()]
    ours = ProfileGenerator(args.binary, ["profile-generator", "--threads", "2", *options])
    return Table("generator at the authors' size: train, batch 2, two threads", "ms a batch", ours, rivals, 2)


def generator_table(binary: str, mode: str, batch: int, attention: bool) -> Table:
    options = ["--graphs", GRAPHS, "--mode", mode, "--batch", str(batch), *(["--attention"] if attention else [])]
    edges = Expected(checks.EDGES_DRAWN * batch, 0.25 * checks.EDGES_DRAWN * batch)
    loss = Expected(checks.GENERATORS[attention][0], 0.01) if batch == 16 else None
    judged = edges if mode == "sample" else loss
    rivals = [
        Rival("torch plain", ["generator", *options], batch, expected=judged),
        Rival("torch factored", ["generator", *options, "--factored"], batch, expected=judged),
    ]
    # Ours shows its edges, and its losses only to the unit tests.
    arguments = ["profile-generator", "--threads", "2", *options]
    ours = ProfileGenerator(binary, arguments, expected=edges if mode == "sample" else None)
    gate = " with attention" if attention else ""
    return Table(f"generator{gate}: {mode}, batch {batch}, two threads", "ms a batch", ours, rivals, batch)


def tables(args: argparse.Namespace, scratch: str) -> Iterator[Table]:
    """Checks come before the tables that they are about."""
    for name in args.workloads:
        network = Network(name, args, scratch)
        wanted = [part for part in PARTS[:3] if part in args.parts]
        if wanted:
            network.check()
        for part in wanted:
            yield getattr(network, part)()
    if "generator" in args.parts:
        checks.generator(GRAPHS)
        yield from generator_tables(args)


def choices(*allowed: str):
    """A list with commas, of the words allowed."""

    def parse(value: str) -> list[str]:
        words = value.split(",")
        for word in words:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"'{word}' is none of {', '.join(allowed)}")
        return words

    return parse


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    binary = os.path.join(REPOSITORY, "target", "release", "graphpnas-fast")
    names = list(checks.NETWORKS)
    parser.add_argument("--workloads", type=choices(*names), default=["W1", "W2", "W3"], help="default W1,W2,W3")
    parser.add_argument("--parts", type=choices(*PARTS), default=list(PARTS), help=f"default {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contestant (default 7)")
    parser.add_argument("--seconds", type=float, default=1.5, help="least length of a rival's turn (default 1.5)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes")
    parser.add_argument("--binary", default=binary, help="graphpnas-fast, default that of cargo build --release")
    parser.add_argument("--json", metavar="FILE", help="also write all that was measured")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds is at least 1")
    if not os.path.exists(args.binary):
        parser.error(f"no {args.binary}: run cargo build --release, or give --binary")
    return args


def main():
    args, results = parse(), []
    print(f"PyTorch's allocator: {allocator() or 'the system; tcmalloc is not installed and would make it faster'}")
    with tempfile.TemporaryDirectory() as scratch:
        for table in tables(args, scratch):
            results.append(table.play(args.rounds, args.seconds, scratch))
            print("\n" + text(results[-1]), flush=True)
            if args.json:
                with open(args.json, "w") as file:
                    json.dump({"allocator": allocator(), "rounds": args.rounds, "tables": results}, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"compare.py: {failed}")
    except KeyboardInterrupt:
        sys.exit(130)
