"""Rivals: long-lived processes of worker.py, which load and compile once and then wait for their turns."""

import ctypes.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from contestants import Expected, Failed, Measures, last_line

WORKER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")]


def allocator() -> str | None:
    """tcmalloc, worth a fifth to a third to PyTorch."""
    return ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")


def environment(threads: int, preload: bool) -> dict[str, str]:
    # OpenMP's own way of waiting stays: a passive one costs PyTorch a third, and between turns none of its threads
    # spins, as each table's last line shows.
    tcmalloc = (allocator() or "") if preload else ""
    return dict(os.environ, OMP_NUM_THREADS=str(threads), LD_PRELOAD=tcmalloc)


@dataclass
class Rival:
    """One process, or several that run at the same time and whose rates are added."""

    name: str
    arguments: list[str]  # of worker.py
    batch: int
    threads: int = 2
    processes: int = 1
    preload: bool = True
    expected: Expected | None = None

    def start(self, scratch: str):
        self.measures, self.workers = Measures(), []
        try:
            # One after the other, so that the second finds what the first has compiled.
            for _ in range(self.processes):
                self.workers.append(Worker(self, scratch))
                if self.expected is not None:
                    self.expected.judge(self.name, self.workers[-1].first)
        except Failed:
            self.stop()
            raise
        self.measures.first_step_s = self.workers[0].first_step_s
        self.measures.libraries_mb = sum(worker.libraries_mb for worker in self.workers)

    def turn(self, seconds: float) -> float:
        for worker in self.workers:
            worker.tell(f"go {seconds}")
        results = [worker.hear() for worker in self.workers]
        return sum(self.batch * result["steps"] / result["seconds"] for result in results)

    def cpu_seconds(self) -> float:
        """Processor time of all its threads up to now."""
        return sum(worker.cpu_seconds() for worker in self.workers)

    def stop(self):
        self.measures.peak_mb = sum(worker.stop() for worker in self.workers)


class Worker:
    """A process of worker.py."""

    def __init__(self, rival: Rival, scratch: str):
        self.name, self.log = rival.name, tempfile.TemporaryFile("w+", dir=scratch)
        variables = environment(rival.threads, rival.preload)
        variables.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(scratch, "compiled"))
        command, pipe = [*WORKER, *rival.arguments], subprocess.PIPE
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.log, text=True, env=variables)
        told = self.hear()
        self.first_step_s = time.perf_counter() - start
        self.first, self.libraries_mb = told["first"], told["libraries_mb"]
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
