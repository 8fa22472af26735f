"""Our program: started anew for each turn, since it is ready at once."""

import os
from dataclasses import dataclass

from contestants import Expected, Measures, answer


@dataclass
class Ours:
    binary: str
    arguments: list[str]
    expected: Expected | None = None
    name = "ours"

    def start(self):
        self.measures = Measures()
        result = self.run(*self.SHORTEST)
        self.measures.first_step_s = result["first_step_s"]
        if self.expected is not None:
            self.expected.judge(self.name, self.first(result))

    def turn(self, _seconds: float) -> float:
        result = self.run(*self.TURN)
        self.measures.peak_mb = max(self.measures.peak_mb, result["peak_memory_mb"])
        return self.rate(result)

    def run(self, *more: str) -> dict:
        return answer([self.binary, *self.arguments, "--json", *more])

    def cpu_seconds(self) -> float:
        """Processor time of all its processes up to now."""
        used = os.times()
        return used.children_user + used.children_system

    def stop(self):
        pass


class Profile(Ours):
    """`profile`: a repeat fills a second."""

    SHORTEST = "--repeats", "1", "--steps", "1"
    TURN = "--repeats", "1"

    def rate(self, result: dict) -> float:
        return result["images_per_s"]


class ProfileGenerator(Ours):
    """`profile-generator`: a repeat has at least three steps."""

    SHORTEST, TURN = ("--repeats", "1", "--seconds", "0"), ("--repeats", "1", "--seconds", "1")

    def rate(self, result: dict) -> float:
        return result["graphs_per_s"]

    def first(self, result: dict) -> float:
        """Edges in a batch."""
        return result["mean_edges"] * result["batch"]
