"""Compile kernels for a real GPU without one: NVRTC from its wheel, which needs no driver."""

from __future__ import annotations

import re
from dataclasses import dataclass

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
# As CuPy compiles.
OPTIONS = (b"--std=c++17", b"-ftz=true", b"--device-as-default-execution-space")
MOST_REGISTERS = 64
"""Four blocks of 256 threads on a multiprocessor of 65536 registers."""


@dataclass(frozen=True)
class Compiled:
    """What the assembler says of a kernel."""

    registers: int
    spilled_bytes: int
    shared_bytes: int


def done(result: tuple) -> object:
    """What a call of NVRTC's gives besides its error, of which there is none."""
    error, *rest = result
    assert int(error) == 0, error
    return rest[0] if rest else None


def ptx_of(source: str, name: str, architecture: str) -> str:
    """The PTX for one architecture, such as ``compute_90``."""
    from cuda.bindings import nvrtc

    program = done(nvrtc.nvrtcCreateProgram(source.encode(), f"{name}.cu".encode(), 0, [], []))
    done(
        nvrtc.nvrtcCompileProgram(program, 1 + len(OPTIONS), [f"--gpu-architecture={architecture}".encode(), *OPTIONS])
    )
    text = b" " * done(nvrtc.nvrtcGetPTXSize(program))
    done(nvrtc.nvrtcGetPTX(program, text))
    return text.decode()


def code_of(source: str, name: str, architecture: str) -> tuple[bytes, str]:
    """Machine code for one architecture, and what the assembler says of it.

    Raises
    ------
    AssertionError
        If the source is refused, with the compiler's message.
    """
    from cuda.bindings import nvrtc

    program = done(nvrtc.nvrtcCreateProgram(source.encode(), f"{name}.cu".encode(), 0, [], []))
    options = [f"--gpu-architecture={architecture}".encode(), *OPTIONS, b"--ptxas-options=-v"]
    (outcome,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = b" " * done(nvrtc.nvrtcGetProgramLogSize(program))
    done(nvrtc.nvrtcGetProgramLog(program, log))
    text = log.decode(errors="replace")
    assert outcome == nvrtc.nvrtcResult.NVRTC_SUCCESS, text
    code = b" " * done(nvrtc.nvrtcGetCUBINSize(program))
    assert len(code) > 0
    done(nvrtc.nvrtcGetCUBIN(program, code))
    return code, text


def compile_for(source: str, name: str, architecture: str) -> dict[str, Compiled]:
    """What the assembler says of each kernel for one architecture, by name; as :func:`code_of`."""
    _, text = code_of(source, name, architecture)
    found = {}
    for part in text.split("Compiling entry function '")[1:]:
        spilled = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        assert spilled is not None, part
        assert registers is not None, part
        found[part.split("'")[0]] = Compiled(
            int(registers[1]), int(spilled[1]) + int(spilled[2]), int(shared[1]) if shared else 0
        )
    return found
