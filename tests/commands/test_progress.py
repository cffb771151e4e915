"""Progress on a terminal, and none elsewhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from tomokit.commands.progress import line


def test_a_line_has_the_terms_of_the_loss_and_the_leaves() -> None:
    terms = {"loss": 0.0123, "data": 0.0101, "tv": 0.0022, "leaves": 384.0}
    assert line(3, 30, terms, 0.65881) == "epoch 3/30  held-out 0.6588  loss 0.0123 = data 0.01 + tv 0.0022  leaves 384"
    assert line(1, 2, {"loss": 0.5, "data": 0.5}, None) == "epoch 1/2  loss 0.5"


def test_a_terminal_is_shown_epochs_and_stdout_stays_json(data: Path) -> None:
    reader, terminal = pty.openpty()
    words = [sys.executable, "-m", "tomokit", "reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--json"]
    options = ["--method", "sirt", "--thickness", "16", "--set", "epochs=30", "--hold-out", "8", "--no-preview"]
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    process = subprocess.Popen(
        [str(word) for word in (*words, *options)], stdout=subprocess.PIPE, stderr=terminal, env=environment, text=True
    )
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(reader, 65536):
            shown += block
    except OSError:  # Linux tells the end of a terminal so
        pass
    finally:
        os.close(reader)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    summary = json.loads(out)
    text = shown.decode()
    assert "reading tilts.mrc" in text
    assert "epoch 30/30" in text
    assert f"held-out {summary['held_out']['correlation']:.4f}" in text
