"""The digest of all sources that a compiled function depends on.

Machine code holds what was inlined into it from other files, and the constants that they define. So what says whether
kept code is still right is the text of the function's file and of every file that this one imports, and so on.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import sys
from pathlib import Path

_IMPORT = re.compile(r"^(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+([\w.]+))", re.MULTILINE)


def source_digest(module: str) -> str | None:
    """Compute the digest of a module's source and of all that it imports of its own package and of tomokit.

    Imports are followed where they stand at the beginning of a line: what a compiled function uses has been imported
    before it was defined.

    Parameters
    ----------
    module : str
        Full name of an imported module.

    Returns
    -------
    str or None
        64 hexadecimal digits; None if a source cannot be read, as where only bytecode is installed.
    """
    packages = {module.partition(".")[0], "tomokit"}
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        source = _source(name)
        if source is None:
            return None
        found[name] = source
        waiting += [other for other in _imported(source) if other.partition(".")[0] in packages]
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\n{len(found[name])}\n{found[name]}".encode())
    return digest.hexdigest()


@functools.cache
def _imported(source: str) -> tuple[str, ...]:
    """Modules that a source imports: those named, and names taken from packages that are modules themselves."""
    modules = []
    for package, names, plain in _IMPORT.findall(source):
        modules.append(package or plain)
        for name in re.findall(r"[(,\s]*(\w+)(?:\s+as\s+\w+)?", names):
            if f"{package}.{name}" in sys.modules:
                modules.append(f"{package}.{name}")
    return tuple(modules)


@functools.cache
def _source(name: str) -> str | None:
    """Text of a module's source as it was when the process first asked; None if there is none."""
    module = sys.modules.get(name)
    try:
        spec = importlib.util.find_spec(name) if module is None else module.__spec__
        loader = None if spec is None else spec.loader
        # Loaders of files and of zip archives have it; that of pytest, which rewrites asserts, has not.
        source: str | None = getattr(loader, "get_source", lambda _: None)(name)
        if source is None and spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            source = Path(spec.origin).read_text(encoding="utf-8")
    except (ImportError, OSError, ValueError):
        return None
    return source
