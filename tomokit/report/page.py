"""The page itself: one HTML file with its style, its script and its data, that loads nothing and sends nothing.

Style and script are allowed by their digests alone (Content Security Policy, Level 3), so that no text of a file could
be run even if it came to stand in the page as markup; and it does not, for the template escapes all text.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tomokit.errors import printable
from tomokit.report.facts import Fact
from tomokit.report.page_data import PageData
from tomokit.report.subject import Subject
from tomokit.report.tables import Row
from tomokit.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES = ("base.css", "viewer.css", "print.css")
SCRIPTS = ("volume.js", "planes.js", "overlays.js", "viewer.js", "chart.js", "figures.js", "main.js")
"""In the order in which they are joined: later ones use what earlier ones define."""


@dataclass(frozen=True)
class PageText:
    """What the page says in words and tables.

    Attributes
    ----------
    title : str
    subjects : list of Subject
    facts : list of Fact
    settings, provenance : list of Row
    regions : dict
        By the label of a subject, as of :func:`tomokit.report.regions.measured_regions`.
    """

    title: str
    subjects: list[Subject]
    facts: list[Fact]
    settings: list[Row]
    provenance: list[Row]
    regions: dict[str, dict[str, Any]]


def render(text: PageText, data: PageData) -> bytes:
    """Make the page of what was gathered.

    Parameters
    ----------
    text : PageText
    data : PageData

    Returns
    -------
    bytes
        HTML in UTF-8.
    """
    style, script = _joined(STYLES), f'"use strict";\n(() => {{\n{_joined(SCRIPTS)}}})();\n'
    page = (
        _environment()
        .get_template("page.html")
        .render(
            text=text,
            version=__version__,
            style=style,
            script=script,
            policy=policy(style, script),
            data=as_data(data.content),
            streams={name: b64encode(stream).decode("ascii") for name, stream in data.streams.items()},
        )
    )
    return page.encode("utf-8")


def policy(style: str, script: str) -> str:
    """Write the page's content security policy.

    Parameters
    ----------
    style, script : str
        Text of the two elements that are allowed.

    Returns
    -------
    str
    """
    return (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def as_data(content: Any) -> str:
    """Write JSON that may stand in a script element as it is.

    Parameters
    ----------
    content : object
        JSON-serializable.

    Returns
    -------
    str
        ASCII, with no ``<``, ``>`` or ``&``: nothing in it ends the element, or begins another.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def shown(value: object) -> str:
    """Write text of any origin so that it can be seen: control characters and bytes that are no text are written out.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        Valid Unicode, not yet escaped for HTML.
    """
    return printable(str(value))


@cache
def _environment() -> Environment:
    """Templates, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("tomokit.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shown"] = shown
    return environment


def _joined(names: tuple[str, ...]) -> str:
    folder = files("tomokit.report") / "assets"
    return "\n".join((folder / name).read_text("utf-8") for name in names)


def _source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
