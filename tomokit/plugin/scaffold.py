"""Write the package of a new plugin, which passes its own tests from the start."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path
from string import Template

from tomokit.errors import OptionError, OutputError, PluginError
from tomokit.plugin.manager import get_registry

KINDS = ("regularizer", "optimizer", "method")
_PREFIX = "tomokit-"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_USAGE = {
    "regularizer": "tomokit reconstruct tilts.mrc -o out.mrc --method octree --set regularizers.$key.weight=1e-3",
    "optimizer": "tomokit reconstruct tilts.mrc -o out.mrc --method octree --set optimizer=$name",
    "method": "tomokit reconstruct tilts.mrc -o out.mrc --method $name",
}


def write_package(folder: Path, kind: str = "regularizer") -> list[Path]:
    """Write the package of a new plugin, which can be installed, listed, checked, tested and used.

    Parameters
    ----------
    folder : Path
        The folder to make. Its name is the distribution's; the plugin's is what follows ``tomokit-``.
    kind : str
        One of :data:`KINDS`.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    OptionError
        If `kind` is another.
    PluginError
        If the name cannot be a plugin's, or is taken: by a plugin, an installed distribution or a module.
    OutputError
        If the folder is there already, or cannot be made.
    """
    if kind not in KINDS:
        raise OptionError(f"no kind {kind!r}", field="--kind", remedy=f"choose from {', '.join(KINDS)}")
    if folder.exists() or folder.is_symlink():
        raise OutputError("exists already", file=folder, remedy="give another name")
    words = _template_words(folder.resolve().name, kind)
    if not folder.resolve().parent.is_dir():
        raise OutputError(f"there is no folder {folder.resolve().parent}", file=folder, remedy="make it first")
    package = Path("src") / words["package"]
    files = {
        Path("pyproject.toml"): "pyproject.toml",
        Path("README.md"): "README.md",
        package / "__init__.py": "init.py",
        package / "plugin.py": "plugin.py",
        package / f"{kind}.py": f"{kind}.py",
        Path("tests") / f"test_{kind}.py": f"test_{kind}.py",
    }
    templates = resources.files("tomokit.plugin") / "templates"
    words["Class"] = _class_name(words, (templates / f"{kind}.py.txt").read_text(encoding="utf-8"))
    try:
        # Made in a temporary folder on the same disk and moved: the package is complete, or absent.
        with tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=".tomokit-") as scratch:
            made = Path(scratch) / "package"
            for path, template in files.items():
                text = Template((templates / f"{template}.txt").read_text(encoding="utf-8"))
                target = made / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text.substitute(words), encoding="utf-8")
            shutil.move(made, folder)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", file=folder) from error
    return [folder / path for path in files]


def _template_words(distribution: str, kind: str) -> dict[str, str]:
    """What the ``$words`` of the templates stand for."""
    name = distribution.removeprefix(_PREFIX)
    package = distribution.replace("-", "_")
    if not _NAME.fullmatch(distribution) or not _NAME.fullmatch(name) or keyword.iskeyword(package):
        raise PluginError(
            f"{distribution!r} is no name of a plugin", remedy="use a-z, 0-9 and -, such as tomokit-smooth"
        )
    # Installed under the name of another, it would take the other's place.
    if distribution in _installed_distributions():
        raise PluginError("a distribution of this name is installed", field=distribution, remedy="choose another name")
    if package in sys.stdlib_module_names or importlib.util.find_spec(package) is not None:
        raise PluginError(
            f"there is a module {package!r} already", field=distribution, remedy=f"name it tomokit-{name}, or otherwise"
        )
    if name in get_registry().names(kind):
        raise PluginError(f"there is a {kind} {name!r} already", field=distribution, remedy="choose another name")
    words = {
        "distribution": distribution,
        "package": package,
        "name": name,
        "key": name.replace("-", "_"),
        "kind": kind,
        "Kind": kind.capitalize(),
    }
    return words | {"usage": Template(_USAGE[kind]).substitute(words)}


def _installed_distributions() -> set[str]:
    """Names as they are compared: in lower case, with hyphens."""
    names = (found.metadata["Name"] for found in metadata.distributions())
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names if name}


def _class_name(words: dict[str, str], template: str) -> str:
    """The plugin's class: its name in capitals, and its kind too where that means something else in the module."""
    name = "".join(part.capitalize() for part in words["name"].split("-"))
    module = ast.parse(Template(template).substitute(words, Class="_Placeholder"))
    imported = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(module)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    taken = keyword.iskeyword(name) or hasattr(builtins, name) or name in imported
    # Its companions are called after it, and may not be what is imported either.
    taken = taken or bool({f"{name}Options", f"{name}Run"} & imported)
    return f"{name}{words['Kind']}" if taken else name
