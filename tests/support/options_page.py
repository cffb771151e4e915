"""The part of docs/cli.md that says what every option does, made of the options' own helps.

python tests/support/options_page.py --write
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CLI = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
BEGIN = "<!-- made by tests/support/options_page.py of the helps in the code: change those -->\n"
END = "<!-- end of what is made -->\n"


def made() -> str:
    """The part as the code has it now."""
    os.environ["TOMOKIT_LOAD_PLUGINS"] = ""
    from tomokit.pipeline.options_told import options_page
    from tomokit.plugin.manager import build_registry

    return options_page(build_registry(lambda *_: [], ""))


def written(text: str) -> str:
    """The part as the document has it."""
    return text.split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    document = CLI.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        before, after = document.split(BEGIN)[0], document.split(END)[1]
        CLI.write_text(f"{before}{BEGIN}{made()}{END}{after}", encoding="utf-8")
    elif made() != written(document):
        sys.exit("docs/cli.md is not what the helps say: run with --write")
