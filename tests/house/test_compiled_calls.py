"""Every compiled function that others call is inlined into them, so that one copy of its machine code exists.

Without that the code of a caller names its callee's symbol. A process that has compiled both resolves it to the callee
as it was compiled by itself, one that loads the caller from the cache to the copy that was optimized with the caller:
two vectorizations, other last bits.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "tomokit").rglob("*.py")), *sorted((ROOT / "plugins").glob("*/src/**/*.py"))]


def compiled() -> dict[str, tuple[str, ast.FunctionDef]]:
    """Decorator and definition of every compiled function, by name."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for decorator in map(ast.unparse, node.decorator_list):
                    if "njit" in decorator or decorator.startswith(("compiled(", "shared_out(")):
                        found[node.name] = (decorator, node)
    return found


def test_callees_are_inlined() -> None:
    functions = compiled()
    assert len(functions) > 50
    called = {
        call.func.id
        for name, (_, node) in functions.items()
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in functions
    }
    assert len(called) > 20
    # One with a parallel loop of its own is a call whatever it says: its loop is compiled apart.
    apart = {name for name in called if "inline" not in functions[name][0]}
    assert {name for name in apart if "parallel=True" not in functions[name][0]} == set()
