"""Before anything is timed: do all compute the same?"""

from contestants import Failed, answer
from rivals import WORKER, environment

# Losses of five training steps without dropout, then of an evaluation; independent engines agree on them.
NETWORKS = {
    "W1": [2.358147, 2.200019, 2.041909, 1.920018, 1.792404, 2.645254],
    "W1-er": [2.393096, 2.248172, 2.107681, 2.001883, 1.896016, 3.330735],
    "W2": [2.378788, 2.115693, 1.941015, 1.762563, 1.509727, 2.360399],
    "W2-er": [2.394497, 2.189733, 2.050734, 1.892850, 1.645944, 2.265631],
    "W3": [5.376324, 4.131516, 2.730674, 1.826305, 1.333382, 3.908551],
}
# Losses of four training steps at batch 16, without and with attention.
GENERATORS = {
    False: [190.97243, 190.91289, 190.87868, 190.80922],
    True: [190.97214, 190.92981, 190.89430, 190.87393],
}
# Edges of a graph that an untrained generator draws, on average.
EDGES_DRAWN = 59
# Relative. Rounding differs between engines and grows with every step.
NETWORK_TOLERANCES = [1e-4, 1e-4, 5e-3, 5e-3, 5e-3, 3e-2]
GENERATOR_TOLERANCES = [1e-5, 1e-4, 1e-4, 1e-4]


def network(binary: str, path: str, name: str, exported: str):
    """Our losses and PyTorch's on a workload; leaves PyTorch's network in `exported` for the evaluations."""
    print(f"{name}: losses of five training steps without dropout, of an evaluation after")
    compare("reference", NETWORKS[name], NETWORKS[name], NETWORK_TOLERANCES)
    theirs = worker("check-network", "--workload", path, "--exported", exported)
    compare("torch", theirs["losses"], NETWORKS[name], NETWORK_TOLERANCES)
    ours = answer([binary, "profile", path, "--check", "--threads", "2"])
    compare("ours", [*ours["losses"], ours["eval_loss_after"]], NETWORKS[name], NETWORK_TOLERANCES)


def generator(graphs: str):
    """PyTorch's losses; ours are held to the same figures by the unit tests."""
    for attention, expected in GENERATORS.items():
        print(f"generator {'with' if attention else 'without'} attention: losses of four training steps")
        compare("reference", expected, expected, GENERATOR_TOLERANCES)
        for variant in ([], ["--factored"]):
            gate = ["--attention"] if attention else []
            theirs = worker("check-generator", "--graphs", graphs, *variant, *gate)
            compare(" ".join(["torch", *variant]), theirs["losses"], expected, GENERATOR_TOLERANCES)


def worker(*arguments: str) -> dict:
    return answer([*WORKER, *arguments], environment(2, preload=True))


def compare(who: str, losses: list[float], expected: list[float], tolerances: list[float]):
    print(f"  {who:16}" + "".join(f"{loss:12.6f}" for loss in losses), flush=True)
    for step, (loss, wanted, tolerance) in enumerate(zip(losses, expected, tolerances, strict=True), 1):
        if not abs(loss - wanted) <= tolerance * wanted:
            raise Failed(f"{who}: loss {step} is {loss}, expected {wanted} within {tolerance} of it")
