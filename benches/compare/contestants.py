"""The two kinds of contestants: rivals, which stay loaded and wait for their turn, and our program, started for each."""

import ctypes.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

WORKER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")]


class Failed(Exception):
    """A contestant cannot take part; the text says why."""


def allocator() -> str | None:
    """tcmalloc, worth a fifth to a third to PyTorch."""
    return ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")


def worker_environment(threads: int, preload: bool) -> dict[str, str]:
    tcmalloc = (allocator() or "") if preload else ""
    return dict(os.environ, OMP_NUM_THREADS=str(threads), LD_PRELOAD=tcmalloc)


def last_line(log: str) -> str:
    return next(reversed(log.strip().splitlines()), "")


def answer(command: list[str], environment: dict[str, str] | None = None) -> dict:
    """The JSON that a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: ended with {done.returncode}: {last_line(done.stderr)}")
    return json.loads(done.stdout)


@dataclass
class Measures:
    """What a contestant showed besides its rates."""

    rates: list[float] = field(default_factory=list)  # items per second
    first_step_s: float = 0.0  # from the start of the process
    import_mb: float = 0.0  # of `peak_mb`, what the libraries take
    peak_mb: float = 0.0
    first: float | None = None  # the first step's result


@dataclass
class Rival:
    """One process or several that run at the same time, whose rates are added."""

    name: str
    arguments: list[str]  # of worker.py
    batch: int
    threads: int = 2
    processes: int = 1
    preload: bool = True
    # The first step's result and how far it may be off; a rival that computes something else is left out.
    expected: float | None = None
    tolerance: float = 0.0

    def start(self, scratch: str):
        self.measures = Measures()
        # One after the other, so that the second finds what the first has compiled.
        self.workers = [Worker(self, scratch) for _ in range(self.processes)]
        self.measures.first_step_s = self.workers[0].first_step_s
        self.measures.first = first = self.workers[0].first
        if self.expected is not None and not abs(first - self.expected) <= self.tolerance:
            raise Failed(f"{self.name}: its first step gives {first}, expected {self.expected} +- {self.tolerance}")
        self.measures.import_mb = sum(worker.import_mb for worker in self.workers)

    def turn(self, seconds: float) -> float:
        for worker in self.workers:
            worker.tell(f"go {seconds}")
        results = [worker.hear() for worker in self.workers]
        return sum(self.batch * result["steps"] / result["seconds"] for result in results)

    def cpu_seconds(self) -> float:
        return sum(worker.cpu_seconds() for worker in self.workers)

    def stop(self):
        self.measures.peak_mb = sum(worker.stop() for worker in self.workers)


class Worker:
    """A process of worker.py."""

    def __init__(self, rival: Rival, scratch: str):
        self.name, self.log = rival.name, tempfile.TemporaryFile("w+", dir=scratch)
        environment = worker_environment(rival.threads, rival.preload)
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(scratch, "compiled"))
        command = [*WORKER, *rival.arguments]
        start, pipe = time.perf_counter(), subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=environment)
        told = self.hear()
        self.first_step_s = time.perf_counter() - start
        self.first, self.import_mb = told["first"], told["import_mb"]
        self.hear()

    def tell(self, line: str):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise Failed(f"{self.name}: ended with {self.process.returncode}: {last_line(self.log.read())}")
        return json.loads(line)

    def cpu_seconds(self) -> float:
        """Processor time of all threads up to now."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """Its peak memory, MB."""
        self.tell("peak")
        peak = self.hear()["peak_mb"]
        self.process.stdin.close()
        self.process.wait()
        return peak


@dataclass
class Ours:
    """`graphpnas-fast profile` or `profile-generator`, once for each turn."""

    binary: str
    arguments: list[str]
    rate_key: str  # of the printed JSON
    name: str = "ours"

    def start(self, _scratch: str):
        self.measures = Measures()
        start = time.perf_counter()
        self.run("--repeats", "1", "--steps", "1")
        # Not the step alone but the whole process, with the four steps that follow and the measurement of the peak.
        self.measures.first_step_s = time.perf_counter() - start

    def turn(self, _seconds: float) -> float:
        result = self.run("--repeats", "1")
        self.measures.peak_mb = max(self.measures.peak_mb, result["peak_memory_mb"])
        return result[self.rate_key]

    def run(self, *more: str) -> dict:
        return answer([self.binary, *self.arguments, "--json", *more])

    def cpu_seconds(self) -> float:
        used = os.times()
        return used.children_user + used.children_system

    def stop(self):
        pass
