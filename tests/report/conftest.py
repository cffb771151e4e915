"""A small run with a state, made once; pages taken apart."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tomokit.commands.app import run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``tilts.mrc`` and the run of it: ``run.h5``, ``out.mrc`` and its record; not to be written to."""
    folder = tmp_path_factory.mktemp("run")
    assert run(["simulate", str(folder), "--shape", "16,32,40", "--tilts=-60:60:8", "--noise", "0.05"]) == 0
    words = ["--thickness", "16", "--method", "sirt", "--hold-out", "5", "--set", "epochs=3", "--no-preview"]
    job = [str(folder / "tilts.mrc"), "-o", str(folder / "out.mrc"), "--state", str(folder / "run.h5")]
    assert run(["reconstruct", *job, *words]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    target = tmp_path / "run"
    shutil.copytree(made, target)
    return target


@dataclass
class Page:
    """A page taken apart.

    Attributes
    ----------
    tags : list of (str, dict)
        Every element with its attributes.
    scripts, styles : list of str
        Text of those elements; scripts that are data are in `data`.
    data : dict of str to str
        Text of script elements that are no programs, by identifier.
    text : str
        What stands between the tags otherwise.
    """

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def content(self) -> dict[str, Any]:
        """The data of the page."""
        found: dict[str, Any] = json.loads(self.data["report-data"])
        return found

    def stream(self, name: str) -> bytes:
        """A volume, compressed."""
        return base64.b64decode(self.data[name], validate=True)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._inside: tuple[str, dict[str, str | None]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = (tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.page.text += data
        elif self._inside[0] == "style":
            self.page.styles.append(data)
        elif "type" in self._inside[1]:
            self.page.data[str(self._inside[1]["id"])] = data
        else:
            self.page.scripts.append(data)


@pytest.fixture
def parsed() -> Callable[[Path], Page]:
    """Takes a page apart."""

    def parse(path: Path) -> Page:
        parser = _Parser()
        parser.feed(path.read_text("utf-8"))
        return parser.page

    return parse
