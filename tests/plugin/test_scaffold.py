"""A new package passes its own tests, and once installed it is listed, checked and chosen by name."""

from __future__ import annotations

import ast
import builtins
import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import warm_start

from tomokit.errors import OptionError, OutputError, PluginError
from tomokit.plugin.scaffold import KINDS, write_package

PLUGIN = "tomokit.pytest_plugin"
announced = PLUGIN in [point.value for point in entry_points(group="pytest11", name="tomokit")]


def install(package: Path, site: Path) -> None:
    """Put a package on a path as an installer does: its modules, and the metadata that announce it."""
    with (package / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    for folder in (package / "src").iterdir():
        (site / folder.name).symlink_to(folder)
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = "".join(f"{name} = {target}\n" for name, target in project["entry-points"]["tomokit"].items())
    (info / "entry_points.txt").write_text(f"[tomokit]\n{points}", encoding="utf-8")


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TOMOKIT_LOAD_PLUGINS": "tomokit-two-words"}
    return warm_start.run(["-m", *words], path=[str(site)], cwd=folder, env=environment)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Write and install a package of some kind; it and the path that it is installed to."""

    def make(kind: str) -> tuple[Path, Path]:
        package, site = tmp_path / "tomokit-two-words", tmp_path / "site"
        written = write_package(package, kind)
        assert all(path.is_file() for path in written)
        site.mkdir()
        install(package, site)
        return package, site

    return make


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k == "method" else pytest.mark.long) for k in KINDS])
def test_a_new_package_passes_its_tests_and_is_listed(make: Callable[[str], tuple[Path, Path]], kind: str) -> None:
    package, site = make(kind)
    by_name = [] if announced else ["-p", PLUGIN]
    tested = run(site, package, "pytest", "-q", *by_name)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout
    listed = json.loads(run(site, package, "tomokit", "plugins", "list", "--json").stdout)
    assert listed["refused"] == []
    (mine,) = (one for one in listed["plugins"] if one["origin"] == "tomokit-two-words")
    assert (mine["name"], mine["kind"], mine["version"]) == ("two-words", kind, "0.1.0")
    assert all(option["help"] for option in mine["options"])


def test_an_installed_regularizer_is_checked_and_chosen_by_name_until_it_is_gone(
    make: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    _, site = make("regularizer")
    checked = run(site, tmp_path, "tomokit", "plugins", "check", "two-words")
    assert checked.returncode == 0, checked.stderr
    assert "NO" not in checked.stdout
    simulate = ["simulate", "data", "--shape", "16,24,24", "--tilts=-60:60:20"]
    assert run(site, tmp_path, "tomokit", *simulate).returncode == 0
    job = ["reconstruct", "data/tilts.mrc", "--thickness", "16", "--method", "octree", "--json", "--no-preview"]
    job += ["--set", "epochs=2", "--set", "regularizers.two-words.weight=0.5"]
    done = run(site, tmp_path, "tomokit", *job, "-o", "out.mrc")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["history"][-1]["terms"]["two-words"] > 0
    site.rename(tmp_path / "elsewhere")
    gone = run(site, tmp_path, "tomokit", *job, "-o", "again.mrc")
    assert gone.returncode == 2
    assert "no regularizer of the name 'two-words'" in gone.stderr.replace("two_words", "two-words")
    assert "tomokit-two-words" in gone.stderr  # which TOMOKIT_LOAD_PLUGINS names
    assert not (tmp_path / "again.mrc").exists()


@pytest.mark.parametrize("name", ["Tomokit-Smooth", "tomokit-", "tomokit_smooth", "1st", "tomokit-a--b", "class"])
def test_a_name_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="is no name of a plugin"):
        write_package(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="there is a regularizer 'tv' already"):
        write_package(tmp_path / "tomokit-tv")
    with pytest.raises(PluginError, match="there is a method 'sirt' already"):
        write_package(tmp_path / "sirt", "method")


@pytest.mark.parametrize("name", ["tomokit", "numpy", "json", "typer", "pluggy"])
def test_no_other_package_is_replaced(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"a distribution of this name is installed|there is a module"):
        write_package(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["none", "true", "any", "problem", "field", "voxel", "exception", "class-var"])
def test_no_class_has_a_name_that_means_something_else(name: str, kind: str, tmp_path: Path) -> None:
    """What is written compiles, and no class takes the place of what the module uses."""
    written = write_package(tmp_path / f"tomokit-{name}", kind)
    for path in (path for path in written if path.suffix == ".py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
                    for alias in node.names}  # fmt: skip
        classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        assert not classes & imported
        assert not any(hasattr(builtins, name) for name in classes)


def test_nothing_is_replaced_and_nothing_made_for_nothing(tmp_path: Path) -> None:
    there = tmp_path / "tomokit-there"
    there.mkdir()
    (there / "mine.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(OutputError, match="exists already"):
        write_package(there)
    assert (there / "mine.txt").read_text(encoding="utf-8") == "kept"
    with pytest.raises(OutputError, match="there is no folder"):
        write_package(tmp_path / "lost" / "tomokit-smooth")
    with pytest.raises(OptionError, match="choose from regularizer, optimizer, method"):
        write_package(tmp_path / "tomokit-smooth", "reader")
    assert [path.name for path in tmp_path.iterdir()] == ["tomokit-there"]
