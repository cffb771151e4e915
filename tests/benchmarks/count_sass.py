"""Instructions of the CUDA kernels by class, loop by loop, from machine code: what can be said of them without a GPU.

    python tests/benchmarks/count_sass.py [SOURCE ...] [--kernel NAME] [--nvdisasm PATH] [--arch sm_90]
        [--set CONSTANT=NUMBER ...] [--fix PARAMETER=VALUE ...]

NVRTC (``pip install 'tomokit[cuda-check]'``) compiles the sources in ``tomokit/gpu/kernels``, all or those given, and
``nvdisasm`` of the CUDA toolkit takes the machine code apart. A loop is what a backward branch encloses; it is listed
without the loops inside it, which follow further in. What branches pass over is counted too: parameters that are fixed
leave only the path that they choose. Constants are those of ``gpu.py`` at full size where they are not set.

The tables in ``docs/results/cuda-counts.md`` are from

    python tests/benchmarks/count_sass.py dense
    python tests/benchmarks/count_sass.py leaf_project leaf_rows boundary totals
    python tests/benchmarks/count_sass.py leaf_update --fix n_chosen=1 pair_of=nullptr extra=nullptr
        extra_raw=nullptr pair_raw=0 activation=0 tv_variant=0 optimizer=1

the last one also with ``tv_variant=3 optimizer=2``; and

    python tests/benchmarks/count_sass.py leaf_primal_dual --set N=41 COLUMNS=6 PASSES=7 PAD=4 --fix n_chosen=3
        pair_of=nullptr extra=nullptr extra_raw=nullptr
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cuda"))
from nvrtc import code_of

from tomokit.gpu.source import kernel_files, source_text

CONSTANTS = {
    "N": 42, "PAD": 6, "UNITS": 6, "MOST": 5, "COLUMNS": 6, "PASSES": 7, "TAPS": 3, "KNOTS": 64, "WIDE": 1, "NODES": 11,
    "REACH": 7
}  # fmt: skip
CLASSES = {
    "float": r"F(FMA|ADD|MUL|MNMX|SETP|SEL)",
    "double": r"D(FMA|ADD|MUL|SETP)",
    "convert": r"(I2F|F2I|F2F|I2FP|FRND|F2FP)",
    "special": r"MUFU",
    "load": r"LDG",
    "store": r"STG",
    "shared": r"(LDS|STS)",
    "spill": r"(LDL|STL)",
    "constant": r"(LDC|ULDC)",
    "control": r"(BRA|BSSY|BSYNC|EXIT|CALL|RET|BAR|WARPSYNC|SHFL|BREAK|NOP)",
    "move": r"(MOV|CS2R|S2R|S2UR|UMOV|HFMA2)",
}
"""Whatever else there is works on whole numbers and predicates."""

_SECTION = re.compile(r"\.section\s+\.text\.(\w+)[^\n]*\n(.*?)(?=\n\s*\.section|\Z)", re.DOTALL)
_INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)([^;]*);")
_WIDTH = re.compile(r"\.(U8|U16|64|128)\b")


@dataclass(frozen=True)
class Instruction:
    """One of them: where it is, what it is called, and what follows the name."""

    at: int
    name: str
    rest: str

    @property
    def kind(self) -> str:
        """Its class."""
        return next((kind for kind, pattern in CLASSES.items() if re.match(pattern + r"\b", self.name)), "integer")

    @property
    def bytes(self) -> int:
        """That a thread loads or stores in the device's memory."""
        if self.kind not in ("load", "store"):
            return 0
        width = _WIDTH.search(self.rest.split(" ")[0])
        return 4 if width is None else {"U8": 1, "U16": 2, "64": 8, "128": 16}[width[1]]


@dataclass(frozen=True)
class Loop:
    """From the target of a backward branch to the branch."""

    begin: int
    end: int

    def holds(self, other: Loop) -> bool:
        """Whether another one is inside."""
        return self != other and self.begin <= other.begin and other.end <= self.end


@dataclass(frozen=True)
class Code:
    """A kernel's instructions up to its last exit, and its loops, outer ones first."""

    instructions: list[Instruction]
    loops: list[Loop]

    def outside(self) -> list[Instruction]:
        """Those that are in no loop."""
        return [i for i in self.instructions if not any(loop.begin <= i.at <= loop.end for loop in self.loops)]

    def own(self, loop: Loop) -> list[Instruction]:
        """Those of a loop that are in none inside it."""
        inner = [other for other in self.loops if loop.holds(other)]
        return [
            i for i in self.instructions
            if loop.begin <= i.at <= loop.end and not any(other.begin <= i.at <= other.end for other in inner)
        ]  # fmt: skip


def codes_of(listing: str) -> dict[str, Code]:
    """The kernels of a listing of nvdisasm's, by name."""
    found = {}
    for name, text in _SECTION.findall(listing):
        labels: dict[str, int] = {}
        waiting: list[str] = []
        instructions: list[Instruction] = []
        for line in text.splitlines():
            label = re.match(r"\s*(\.L\w+):", line)
            if label is not None:
                waiting.append(label[1])
            match = _INSTRUCTION.search(line)
            if match is not None:
                instructions.append(Instruction(int(match[1], 16), match[2], match[3]))
                labels |= dict.fromkeys(waiting, instructions[-1].at)
                waiting = []
        # What follows are divisions and roots of odd numbers, and what fills the last line.
        end = max(i.at for i in instructions if i.name == "EXIT")
        ends: dict[int, int] = {}
        for i in instructions:
            target = re.search(r"`\((\.L\w+)\)", i.rest)
            if i.name == "BRA" and target is not None and i.at <= end and labels.get(target[1], i.at) < i.at:
                ends[labels[target[1]]] = i.at
        loops = sorted((Loop(*item) for item in ends.items()), key=lambda loop: (loop.begin, -loop.end))
        found[name] = Code([i for i in instructions if i.at <= end], loops)
    return found


def line(what: str, instructions: list[Instruction]) -> str:
    """A line of the listing."""
    kinds = Counter(i.kind for i in instructions)
    moved = {kind: sum(i.bytes for i in instructions if i.kind == kind) for kind in ("load", "store")}
    found = [f"{kind} {n}" + (f" ({moved[kind]} B)" if moved.get(kind) else "") for kind, n in kinds.most_common()]
    return f"  {what:<22} {len(instructions):5d}: {', '.join(found)}"


def fixed(source: str, kernel: str, values: dict[str, str]) -> str:
    """The source with these parameters of one kernel set at its beginning."""
    match = re.search(rf"\b{kernel}\([^)]*\) \{{", source)
    if match is None:
        raise SystemExit(f"no kernel {kernel}")
    begin = match.end()
    return source[:begin] + "".join(f" {name} = {value};" for name, value in values.items()) + source[begin:]


def show(path: Path, arguments: argparse.Namespace) -> None:
    """Print what one file of kernels compiles to."""
    source = source_text(path, CONSTANTS | {key: int(value) for key, value in pairs(arguments.set)})
    if arguments.fix:
        source = fixed(source, arguments.kernel or path.stem, dict(pairs(arguments.fix)))
    code, told = code_of(source, path.stem, arguments.arch)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        done = subprocess.run([arguments.nvdisasm, "-c", file.name], capture_output=True, text=True, check=True)
    for kernel, found in codes_of(done.stdout).items():
        if arguments.kernel not in (None, kernel):
            continue
        said = told.split(f"Compiling entry function '{kernel}'")[1].split("Compiling entry function")[0]
        registers = re.search(r"Used (\d+) registers", said)
        shared = re.search(r"(\d+) bytes smem", said)
        print(f"{kernel}: {registers and registers[1]} registers, {shared[1] if shared else 0} bytes of shared memory")
        print(line("outside of loops", found.outside()))
        for loop in found.loops:
            depth = sum(other.holds(loop) for other in found.loops)
            print(line("  " * depth + f"loop at {loop.begin:x}", found.own(loop)))


def pairs(given: list[str]) -> list[tuple[str, str]]:
    """``NAME=VALUE`` of the command line."""
    return [(name, value) for name, _, value in (item.partition("=") for item in given)]


def main() -> None:
    """Print the counts."""
    files = {path.stem: path for path in kernel_files()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", choices=sorted(files), default=sorted(files))
    parser.add_argument("--kernel", help="that one alone, which --fix is for; by default it has the source's name")
    parser.add_argument("--nvdisasm", default=shutil.which("nvdisasm") or "nvdisasm")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--set", nargs="*", default=[], metavar="CONSTANT=NUMBER")
    parser.add_argument("--fix", nargs="*", default=[], metavar="PARAMETER=VALUE")
    arguments = parser.parse_args()
    for name in arguments.sources:
        show(files[name], arguments)


if __name__ == "__main__":
    main()
