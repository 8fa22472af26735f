#!/usr/bin/env python3
"""The kernels' static gate: what the compiler made of them, without a device.

Reads the images and assembler logs of a build and limits.toml beside this file, and disassembles with cuobjdump and nvdisasm.
Asserts for every kernel and architecture:

  no warning, spill, stack or local memory; no more registers than stated; at least the stated share of an SM's threads
  resident; the stated instructions (128-bit loads, matrix products) present.

Usage: cargo test --no-run --message-format=json | gate.py CUDA_BIN
  (the folder of cuobjdump and nvdisasm; kernels and architectures are those of the build)
"""
import json
import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Compute capability -> threads, blocks, registers, bytes of shared memory of an SM; bytes that a block reserves.
# CUDA programming guide, "technical specifications per compute capability".
SM = {
    80: (2048, 32, 65536, 164 * 1024, 1024),
    86: (1536, 16, 65536, 100 * 1024, 1024),
    89: (1536, 24, 65536, 100 * 1024, 1024),
    90: (2048, 32, 65536, 228 * 1024, 1024),
    100: (2048, 32, 65536, 228 * 1024, 1024),
    120: (1536, 24, 65536, 100 * 1024, 1024),
}
REGISTER_UNIT, SHARED_UNIT, WARP = 256, 128, 32


def round_up(number, unit):
    return -(-number // unit) * unit


def occupancy(arch, threads, registers, shared):
    """Share of an SM's threads that are resident."""
    all_threads, blocks, all_registers, all_shared, reserved = SM[arch]
    warps = -(-threads // WARP)
    of_registers = all_registers // round_up(registers * WARP, REGISTER_UNIT) // warps
    of_shared = all_shared // round_up(shared + reserved, SHARED_UNIT)
    return min(all_threads // (warps * WARP), blocks, of_registers, of_shared) * warps * WARP / all_threads


def out_dir():
    """Where build.rs left its files, as cargo's messages tell."""
    found = None
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("reason") == "build-script-executed" and "graphpnas-fast" in message["package_id"]:
            found = Path(message["out_dir"])
    if found is None:
        sys.exit("gate: no message of cargo's on standard input names the build script's folder")
    return found


def images(folder):
    """(name, image, log) of the images that the last build embedded."""
    text = (folder / "images.rs").read_text()
    for name, path in re.findall(r'\("(\w+)", include_bytes!\("([^"]+)"\)\)', text):
        yield name, Path(path), Path(path).with_suffix(".ptxas")


def resources(log):
    """(kernel, arch) -> registers, shared, stack, spills, from the assembler's log; and its warnings."""
    found, key = {}, None
    lines = log.read_text().splitlines()
    for line in lines:
        if match := re.search(r"entry function '(\w+)' for 'sm_(\d+)'", line):
            key = match[1], int(match[2])
            found[key] = {"shared": 0}
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            found[key] |= {"stack": int(match[1]), "spills": int(match[2]) + int(match[3])}
        elif match := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            found[key] |= {"registers": int(match[1]), "shared": int(shared[1]) if shared else 0}
    return found, [line for line in lines if "warning" in line]


def disassemble(tools, image):
    """(kernel, arch) -> instructions."""
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    command = [f"{tools}/cuobjdump", "-sass", str(image)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    found, arch, lines = {}, None, []
    for line in text.splitlines():
        if match := re.match(r"\s*arch = sm_(\d+)", line):
            arch = int(match[1])
        elif match := re.search(r"Function : (\w+)", line):
            lines = found.setdefault((match[1], arch), [])
        elif match := re.match(r"\s+/\*[0-9a-f]{4,5}\*/\s+(.*?);", line):
            lines.append(match[1])
    return found


def complaints(rule, arch, used, code):
    """What a kernel does against its rule."""
    if used["stack"] or used["spills"]:
        yield f"{used['stack']} bytes of stack, {used['spills']} of spills"
    if used["registers"] > rule["registers"]:
        yield f"{used['registers']} registers, more than {rule['registers']}"
    share = occupancy(arch, rule["threads"], used["registers"], used["shared"])
    if share < rule["occupancy"]:
        yield f"{share:.2f} of the threads resident, less than {rule['occupancy']}"
    text = "\n".join(code)
    yield from (f"no {pattern}" for pattern in rule.get("must", []) if not re.search(pattern, text))
    yield from (f"local memory: {line}" for line in code if re.search(r"\b(LDL|STL)\b", line))
    if len(code) == 0:
        yield "not in the disassembly"


def main():
    tools = Path(sys.argv[1]).resolve()
    limits = tomllib.loads((HERE / "limits.toml").read_text())
    seen, bad = set(), []
    built = list(images(out_dir()))
    codes = ThreadPoolExecutor(os.cpu_count()).map(lambda entry: disassemble(tools, entry[1]), built)
    for (name, _, log), code in zip(built, codes):
        used, warnings = resources(log)
        bad += [f"{name}: {warning}" for warning in warnings]
        for (kernel, arch), resource in sorted(used.items()):
            seen.add(kernel)
            if kernel not in limits:
                bad.append(f"{kernel}: no limits stated in limits.toml")
                continue
            rule = limits[kernel]
            found = list(complaints(rule, arch, resource, code.get((kernel, arch), [])))
            bad += [f"{kernel} sm_{arch}: {complaint}" for complaint in found]
            share = occupancy(arch, rule["threads"], resource["registers"], resource["shared"])
            print(f"{kernel:28} sm_{arch:<4} {resource['registers']:4} registers {resource['shared']:6} shared {share:5.2f}"
                  f" resident {'FAILS' if found else 'ok'}")
    bad += [f"{kernel}: in limits.toml but not in the images" for kernel in sorted(set(limits) - seen)]
    if not seen:
        bad.append("no kernels: build with nvcc")
    print(*bad, sep="\n", end="\n" if bad else "")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
