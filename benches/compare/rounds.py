"""Rounds in which every contestant has one turn while the others wait, and the table of their medians."""

import os
import statistics
import sys
import time
from dataclasses import dataclass

from contestants import Failed, Measures
from ours import Ours
from rivals import Rival

# Processors that other programs may take before a table says that it is not worth quoting.
QUIET = 0.1


@dataclass
class Table:
    title: str
    unit: str
    ours: Ours
    rivals: list[Rival]
    batch: int | None = None  # shows the milliseconds of such a batch instead of rates

    def play(self, rounds: int, seconds: float, scratch: str) -> dict:
        """Starts all, plays the rounds, stops all. A rival that does not start is left out."""
        present, left_out = [], []
        self.ours.start()
        for rival in self.rivals:
            progress(f"{self.title}: {rival.name} starts")
            try:
                rival.start(scratch)
                present.append(rival)
            except Failed as failed:
                left_out.append(str(failed))
        load = Load([self.ours, *present])
        for number in range(rounds):
            progress(f"{self.title}: round {number + 1} of {rounds}")
            for contestant in load.contestants:
                load.watch(contestant, seconds)
        progress("")
        for contestant in load.contestants:
            contestant.stop()
        rows = [self.row(contestant.name, contestant.measures) for contestant in load.contestants]
        return {"title": self.title, "unit": self.unit, "rows": rows, "left_out": left_out, **load.shares()}

    def row(self, name: str, measures: Measures) -> dict:
        shown = [1000 * self.batch / rate if self.batch else rate for rate in measures.rates]
        return {
            "name": name,
            "median": statistics.median(shown),
            "min": min(shown),
            "max": max(shown),
            "ours_is_faster_by": statistics.median(self.ours.measures.rates) / statistics.median(measures.rates),
            "first_step_s": measures.first_step_s,
            "peak_mb": measures.peak_mb,
            "libraries_mb": measures.libraries_mb,
            "rounds": shown,
        }


class Load:
    """How busy the processors were during the turns with others than the one whose turn it was."""

    SETTLE_S = 0.05  # a thread that has just finished may spin for a moment

    def __init__(self, contestants: list):
        self.contestants = contestants
        self.seconds = self.waiting = self.foreign = 0.0

    def watch(self, contestant, seconds: float):
        time.sleep(self.SETTLE_S)
        start, busy, own = time.perf_counter(), busy_seconds(), self.used()
        contestant.measures.rates.append(contestant.turn(seconds))
        self.seconds += time.perf_counter() - start
        used = {name: after - own[name] for name, after in self.used().items()}
        self.foreign += busy_seconds() - busy - sum(used.values())
        self.waiting += sum(used.values()) - used[contestant.name]

    def used(self) -> dict[str, float]:
        return {contestant.name: contestant.cpu_seconds() for contestant in self.contestants}

    def shares(self) -> dict[str, float]:
        """In processors: 1 is one of them all the time."""
        return {"waiting_load": self.waiting / self.seconds, "foreign_load": max(0.0, self.foreign / self.seconds)}


def busy_seconds() -> float:
    """Time that all processors were at work, or lent to other guests of the host, up to now."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, interrupt, soft, stolen = map(int, stat.readline().split()[1:9])
    return (user + nice + system + interrupt + soft + stolen) / os.sysconf("SC_CLK_TCK")


def text(result: dict) -> str:
    """The table as Markdown."""
    lines = [
        f"{result['title']}, {result['unit']}",
        "",
        "| | median | min .. max | ours is faster by | first step after | peak memory (of it libraries) |",
        "|---|---|---|---|---|---|",
        *(row_text(row) for row in result["rows"]),
        "",
        *(f"Left out: {reason}" for reason in result["left_out"]),
        f"Processors busy with those who waited: {result['waiting_load']:.2f}, with other programs: "
        f"{result['foreign_load']:.2f}{'' if result['foreign_load'] <= QUIET else '. TOO BUSY TO QUOTE'}",
    ]
    return "\n".join(lines) + "\n"


def row_text(row: dict) -> str:
    low, median, high = (number(row[key]) for key in ("min", "median", "max"))
    ratio, first = f"{row['ours_is_faster_by']:.2f}x", f"{row['first_step_s']:.2f} s"
    memory = f"{row['peak_mb']:.0f} MB ({row['libraries_mb']:.0f})"
    if row["name"] == Ours.name:
        ratio, memory = "", f"{row['peak_mb']:.0f} MB"
    return f"| {row['name']} | {median} | {low} .. {high} | {ratio} | {first} | {memory} |"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def progress(line: str):
    """On one line of a terminal; nothing in a log."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
