"""What is said of options: each in sentences that say what it does and when to touch it, the same in docs/cli.md."""

from __future__ import annotations

import re

import options_page
import pytest

from tomokit.plugin.manager import build_registry
from tomokit.plugin.options import describe_options

ENTRIES = build_registry(lambda *_: [], "").entries(("method", "regularizer", "optimizer"))
OPTIONS = [
    pytest.param(option, id=f"{entry.kind}-{entry.name}-{option['name']}")
    for entry in ENTRIES
    for option in describe_options(entry.target.Options)
]


def test_the_document_is_made_of_the_helps() -> None:
    document = options_page.CLI.read_text(encoding="utf-8")
    assert options_page.written(document) == options_page.made(), "python tests/support/options_page.py --write"


def test_the_document_has_every_option() -> None:
    assert len(OPTIONS) > 60
    assert options_page.made().count("\n| `") == len(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_each_says_what_it_does_and_when_to_touch_it(option: dict[str, str]) -> None:
    told = option["help"]
    assert re.search(r"[.:;] (?=[\w`])", told), "one sentence for what, another for when"
    assert told.endswith(".")
    assert 60 < len(told) < 330
    assert "|" not in told
