"""Progress: a bar on a terminal, lines in a log, and what both know of the time that is left."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import warm_start

from tomokit.commands.progress import line
from tomokit.commands.progress_lines import ProgressLines
from tomokit.commands.time_left import TimeLeft, clock_text

Cli = Callable[..., tuple[int, str, str]]


def test_a_line_has_the_terms_of_the_loss_and_the_leaves() -> None:
    terms = {"loss": 0.0123, "data": 0.0101, "tv": 0.0022, "leaves": 384.0}
    assert line(3, 30, terms, 0.65881) == "epoch 3/30  held-out 0.6588  loss 0.0123 = data 0.01 + tv 0.0022  leaves 384"
    assert line(1, 2, {"loss": 0.5, "data": 0.5}, None) == "epoch 1/2  loss 0.5"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (29.4, "0:29"), (59.6, "1:00"), (725, "12:05"), (10800, "3:00:00")]
)
def test_durations_are_told_as_by_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_the_time_left_counts_down_between_epochs() -> None:
    time_left = TimeLeft(0.0)
    assert time_left.left(5.0) is None
    assert time_left.share is None
    time_left.epoch(1, 10, 6.0)
    assert [time_left.left(now) for now in (6.0, 8.0, 11.0)] == [54, 52, 49]
    # An epoch that is late: what comes after it is left in any case.
    assert time_left.left(100.0) == 48
    time_left.epoch(2, 10, 9.0)  # the first one was slow
    assert time_left.left(9.0) == 24
    assert time_left.share == pytest.approx(0.2)
    time_left.step(0.5)
    assert time_left.share == pytest.approx(0.25)
    time_left.epoch(10, 10, 33.0)
    assert (time_left.left(33.0), time_left.share) == (0, 1)


def test_epochs_that_are_dearer_count_for_more() -> None:
    time_left = TimeLeft(0.0, [1, 1, 4, 4])
    time_left.epoch(1, 4, 2.0)
    assert time_left.share == pytest.approx(0.1)
    assert time_left.left(2.0) == 18


def test_a_resumed_fit_is_timed_from_where_it_goes_on() -> None:
    time_left = TimeLeft(0.0)
    time_left.epoch(21, 30, 2.0)
    assert (time_left.left(2.0), time_left.share) == (18, pytest.approx(0.7))


class Log:
    """Lines of a job by a clock that is set by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.progress = ProgressLines(self.lines.append, lambda: self.now)

    def fit(self, epochs: int, seconds: float, steps: int = 1) -> None:
        self.progress.stage("fitting")
        time_left = TimeLeft(self.now)
        self.progress.fit(time_left)
        for epoch in range(1, epochs + 1):
            for step in range(1, steps):
                self.now += seconds / steps
                time_left.step(step / steps if epoch > 1 else 0.0)
                self.progress.step()
            self.now += seconds / steps
            time_left.epoch(epoch, epochs, self.now)
            self.progress.epoch(f"epoch {epoch}/{epochs}")


@pytest.mark.parametrize(
    ("epochs", "seconds", "steps"), [(300, 0.1, 1), (30, 1, 5), (7, 1, 3), (1, 1, 1), (100, 36, 10), (5, 720, 60)]
)
def test_a_log_has_a_line_for_each_tenth_and_each_minute_and_no_more(epochs: int, seconds: float, steps: int) -> None:
    log = Log()
    log.progress.stage("reading")
    log.fit(epochs, seconds, steps)
    log.progress.stage("writing")
    log.progress.stop(refused=False)
    assert [text for text in log.lines if ":" not in text] == ["reading", "fitting", "writing"]
    assert len(log.lines) <= 3 + 10 + epochs * seconds / 60
    told = [int(found[1]) for text in log.lines if (found := re.match(r"(\d+) %: ", text))]
    assert told == sorted(told)
    assert told[-1] == 100
    if epochs >= 10:
        assert {percent // 10 for percent in told} == set(range(1, 11)) | ({0} if seconds * epochs > 600 else set())


def test_a_minute_without_an_epoch_is_told_too() -> None:
    log = Log()
    log.progress.stage("reading a large stack")
    log.now = 59
    log.progress.step()
    log.now = 61
    log.progress.step()
    log.progress.stop(refused=False)
    assert log.lines == ["reading a large stack", "reading a large stack: 1:01 elapsed"]


def test_a_job_that_is_refused_at_once_says_nothing_but_why() -> None:
    log = Log()
    log.progress.stage("reading")
    log.progress.stop(refused=True)
    assert log.lines == []


WORDS = ("--method", "sirt", "--thickness", "16", "--set", "epochs=20", "--hold-out", "8", "--no-preview")


def test_without_a_terminal_there_are_lines_with_all_stages(cli: Cli, data: Path) -> None:
    words = ("reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", *WORDS)
    status, out, err = cli(*words, "--progress", "auto", "--json")
    assert status == 0
    json.loads(out)
    lines = err.splitlines()
    assert all(text.startswith("tomokit: ") for text in lines)
    stages = [text.split()[1] for text in lines if " %: " not in text]
    assert stages[0] == "reading"
    assert "fitting" in stages
    assert stages[-1] == "writing"
    tenths = [text for text in lines if " %: " in text]
    assert len(tenths) == 10
    assert re.fullmatch(
        r"tomokit: 50 %: \d+:\d\d elapsed, about \d+:\d\d left; epoch 10/20, held-out 0\.\d{4}, loss \S+", tenths[4]
    )
    assert "left" not in tenths[-1]
    assert cli(*words, "--overwrite", "--progress", "none")[2] == ""
    assert cli(*words, "--overwrite", "--progress", "sometimes")[2] == (
        "tomokit: --progress: 'sometimes' is not allowed; choose from auto, bar, lines, none\n"
    )


def on_a_terminal(words: list[str], **environment: str) -> tuple[int, str, str]:
    """Exit status, stdout and what a terminal of 100 columns was sent."""
    reader, terminal = pty.openpty()
    process = warm_start.Started(
        ["-m", "tomokit", *words],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm", "TOMOKIT_PROGRESS": "auto", **environment},
        text=True,
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
    return process.returncode, out, shown.decode()


def test_a_terminal_is_shown_what_is_done_and_what_is_left_and_stdout_stays_json(data: Path) -> None:
    words = ["reconstruct", data / "tilts.mrc", "-o", data / "o.mrc", "--json", *WORDS]
    status, out, text = on_a_terminal([str(word) for word in words])
    assert status == 0
    summary = json.loads(out)
    assert re.search(r"\d+ %\s+\d+:\d\d elapsed\s+\d+:\d\d left", text)
    # What stays when all is done: each stage with its time, the fit with its last numbers.
    stays = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part).strip() for part in text.replace("\r", "\n").split("\n")]
    kept = [part for part in stays if re.search(r"  \d+:\d\d$", part)]
    assert [part.split()[0] for part in kept][:1] == ["reading"]
    assert kept[-1].startswith("writing o.mrc")
    assert f"epoch 20/20  held-out {summary['held_out']['correlation']:.4f}" in text


def test_a_terminal_that_cannot_draw_gets_lines(data: Path) -> None:
    words = ["inspect", str(data / "tilts.mrc"), "--pixels", "--json"]
    status, out, text = on_a_terminal(words, TERM="dumb")
    assert status == 0
    assert json.loads(out)["files"][0]["pixels_read"] is True
    assert "\x1b" not in text
    assert "tomokit: reading tilts.mrc" in text
