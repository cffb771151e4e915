"""What every public function and class says of itself, held to by the lint session.

python tests/house/docstrings.py [PATH ...]

Of each public module, class, function and method below the given paths (by default the package and the plugins):

- the docstring begins with a sentence that stands alone: at least four words, ended by a period
  or a colon;
- a function that takes arguments has a ``Parameters`` section with each of them, one that returns something a
  ``Returns`` section, one that yields a ``Yields`` section, and one that raises an exception of its own making a
  ``Raises`` section that names it;
- instead of these sections it may refer to the interface that it implements: ``(see :class:`Method`)``. A class has its
  parameters in its own docstring, and its ``__init__`` none.

Properties need no section. A command's docstring is its help text and its options have helps of their own, so a
function with Typer's annotations needs none either, nor does a hook implementation.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_SECTION = re.compile(r"^(Parameters|Returns|Yields|Raises|Attributes|Notes|Examples|References|See Also)\n-+$", re.M)
_REFERS = re.compile(r"\b[Ss]ee\s+:(class|meth|func|mod):`")
_LEAST_WORDS = 4

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults_of_file(path: Path) -> list[str]:
    """Faults of one source file, each as ``PATH:LINE: NAME: what is missing``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [(1, "module", fault) for fault in _faults_of_sentence(ast.get_docstring(tree))]
    for name, node, owner in _public(tree):
        if isinstance(node, ast.ClassDef):
            faults = _faults_of_class(node)
        elif owner is not None and node.name == "__init__":
            continue
        else:
            faults = _faults_of_function(node)
        found += [(node.lineno, name, fault) for fault in faults]
    return [f"{path}:{line}: {name}: {fault}" for line, name, fault in found]


def _public(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | Function, ast.ClassDef | None]]:
    """Public classes, functions and methods of a module, each with its name and the class that it is in."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node.name, node, None
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    public = isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
                        not inner.name.startswith("_") or inner.name == "__call__"
                    )
                    if public:
                        yield f"{node.name}.{inner.name}", inner, node


def _faults_of_sentence(text: str | None) -> list[str]:
    if not text:
        return ["no docstring"]
    sentence = " ".join(text.split("\n\n")[0].split())
    if len(sentence.split()) < _LEAST_WORDS:
        return [f"{sentence!r} is no sentence that stands alone"]
    if not sentence.endswith((".", ":", "::")):
        return [f"the first paragraph does not end with a period: {sentence[-40:]!r}"]
    return []


def _faults_of_class(node: ast.ClassDef) -> list[str]:
    text = ast.get_docstring(node)
    faults = _faults_of_sentence(text)
    made = next((inner for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"), None)
    if made is not None and not _REFERS.search(text or "") and not _decorated(node, "runtime_checkable"):
        faults += _missing(text or "", "Parameters", _arguments(made))
    if made is None and _decorated(node, "dataclass") and not node.name.endswith("Options"):
        fields = [
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            and not item.target.id.startswith("_") and "ClassVar" not in ast.unparse(item.annotation)
        ]  # fmt: skip
        faults += _missing(text or "", "Attributes", fields)
    return faults


def _faults_of_function(node: Function) -> list[str]:
    text = ast.get_docstring(node) or ""
    faults = _faults_of_sentence(text)
    exempt = _REFERS.search(text) or _is_command(node) or _decorated(node, "hookimpl", "hookspec", "overload", "setter")
    if exempt or _decorated(node, "property", "cached_property"):
        return faults
    faults += _missing(text, "Parameters", _arguments(node))
    returned = None if node.returns is None else ast.unparse(node.returns)
    if any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in _own(node)):
        if "Yields" not in _SECTION.findall(text):
            faults.append("no Yields section")
    elif returned not in (None, "None", "NoReturn", "Never", "Self") and "Returns" not in _SECTION.findall(text):
        faults.append("no Returns section")
    return faults + _missing(text, "Raises", sorted(_raised(node)))


def _missing(text: str, section: str, names: list[str]) -> list[str]:
    """Which of these names a section does not have."""
    if not names:
        return []
    body = _section(text, section)
    if body is None:
        return [f"no {section} section for {', '.join(names)}"]
    listed = set(re.findall(r"[\w.]+", " ".join(line for line in body.split("\n") if line[:1].strip())))
    lacking = [name for name in names if name not in listed]
    return [f"{section} section without {', '.join(lacking)}"] if lacking else []


def _section(text: str, wanted: str) -> str | None:
    begins = list(_SECTION.finditer(text))
    for number, match in enumerate(begins):
        if match[1] == wanted:
            end = begins[number + 1].start() if number + 1 < len(begins) else len(text)
            return text[match.end() : end]
    return None


def _arguments(node: Function) -> list[str]:
    given = node.args
    found = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    found += [item.arg for item in (given.vararg, given.kwarg) if item is not None]
    return [name for name in found if name not in ("self", "cls") and not name.startswith("_")]


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What a function does itself, without the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own(child)


def _raised(node: Function) -> set[str]:
    """Exceptions that a function makes and raises itself."""
    found = set()
    for inner in _own(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            name = ast.unparse(inner.exc.func).split(".")[-1]
            if name[:1].isupper() and name not in ("AssertionError", "SystemExit"):
                found.add(name)
    return found


def _decorated(node: ast.ClassDef | Function, *names: str) -> bool:
    return any(re.search(rf"\b{name}\b", ast.unparse(item)) for item in node.decorator_list for name in names)


def _is_command(node: Function) -> bool:
    return any(
        item.annotation is not None and "typer." in ast.unparse(item.annotation)
        for item in (*node.args.args, *node.args.kwonlyargs)
    )


def source_files(paths: list[Path]) -> list[Path]:
    """Python files below these paths, those of tests left out, sorted."""
    found = {file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))}
    return sorted(file for file in found if "tests" not in file.parts and "templates" not in file.parts)


def main(arguments: list[str]) -> int:
    """Print the faults; the exit status."""
    paths = [Path(item) for item in arguments] or [Path("tomokit"), Path("plugins")]
    faults = [fault for file in source_files(paths) for fault in faults_of_file(file)]
    print("\n".join(faults))
    print(f"{len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
