"""What our program and its rivals have in common as contestants of a table."""

import json
import subprocess
from dataclasses import dataclass, field


class Failed(Exception):
    """A contestant cannot take part; the text says why."""


@dataclass
class Measures:
    rates: list[float] = field(default_factory=list)  # images or graphs per second, one a turn
    first_step_s: float = 0.0  # from the start of the process to the end of its first step
    peak_mb: float = 0.0  # resident memory at its highest
    libraries_mb: float = 0.0  # of that, what was there once the libraries were loaded


@dataclass
class Expected:
    """What a contestant's first step gives if it computes the right thing."""

    value: float
    tolerance: float

    def judge(self, name: str, found: float):
        if not abs(found - self.value) <= self.tolerance:
            raise Failed(f"{name}: its first step gives {found}, expected {self.value} +- {self.tolerance}")


def answer(command: list[str], environment: dict[str, str] | None = None) -> dict:
    """The JSON that a program prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: ended with {done.returncode}: {last_line(done.stderr)}")
    return json.loads(done.stdout)


def last_line(log: str) -> str:
    return next(reversed(log.strip().splitlines()), "")
