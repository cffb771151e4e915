"""States and tomograms with missing and broken parts: the page says what is missing, and is never half a page."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
from mangled_states import replace_text, seal, store

from tomokit.report.report import ReportRequest, make_report

Cli = Callable[..., tuple[int, str, str]]


def change(path: Path, how: Callable[[Any], None]) -> None:
    """Change a state and seal it again, as if it had been written so."""
    with h5py.File(path, "r+") as file:
        how(file)
    seal(path)


def without(name: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        change(path, lambda file: file.__delitem__(name))

    return harm


def no_numbers(path: Path) -> None:
    def spoil(file: Any) -> None:
        density = file["arrays/density"][()]
        density[:, :, 3] = np.nan
        density[0, 0, 0] = np.inf
        del file["arrays/density"]
        store(file["arrays"], "density", density)

    change(path, spoil)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def empty_history(path: Path) -> None:
    change(path, lambda file: replace_text(file, "history", "[]"))


def spoilt(name: str, text: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        change(path, lambda file: replace_text(file, name, text))

    return harm


def no_series(path: Path) -> None:
    """Neither where it was, nor beside the state."""

    def forget(file: Any) -> None:
        job = json.loads(file["job"][()])
        for place in job["files"].values():
            place["absolute"] = place["absolute"].replace("/run", "/nowhere/run")
        replace_text(file, "job", json.dumps(job))

    change(path, forget)
    path.with_name("tilts.mrc").unlink()


def moved_series(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    shutil.copy(path.with_name("tilts.mrc"), path.with_name("elsewhere"))
    no_series(path)


def another_series(path: Path) -> None:
    with mrcfile.open(path.with_name("tilts.mrc"), "r+") as file:
        file.data[3, 4, 5] += 1


@pytest.mark.parametrize(
    ("harm", "missing", "there"),
    [
        (cut_off, [], ["volume", "history", "views"]),
        (no_numbers, [], ["volume", "history", "views"]),
        (without("arrays"), ["the arrays: is missing"], ["volume", "history", "views"]),
        (without("arrays/density"), ["/arrays/density"], ["volume", "history", "views"]),
        (without("density"), ["how the density follows from the arrays: is missing"], ["volume", "history", "views"]),
        (without("history"), ["the history of the fit: is missing"], ["volume", "views"]),
        (without("provenance"), ["settings and provenance: is missing"], ["volume", "history"]),
        (without("job"), ["where the inputs are: is missing"], ["volume", "history"]),
        (empty_history, ["the history has no epochs"], ["volume", "views"]),
        (spoilt("provenance", "{"), ["settings and provenance: is not what a state has"], ["volume", "history"]),
        (spoilt("history", '[{"epoch": 1}]'), ["the history of the fit"], ["volume", "views"]),
        (no_series, ["the stack is neither at"], ["volume", "history"]),
        (moved_series, ["the stack is neither at"], ["volume", "history"]),
        (another_series, ["is not the stack that run.h5 was made from"], ["volume", "history"]),
    ],
)
def test_a_state_without_a_part(
    cli: Cli, folder: Path, parsed: Any, harm: Callable[[Path], None], missing: list[str], there: list[str]
) -> None:
    state, target = folder / "run.h5", folder / "r.html"
    if harm is cut_off:
        shutil.copy(state, folder / "run.previous.h5")
    harm(state)
    status, _, err = cli("report", state, "-o", target)
    assert status == 0
    page = parsed(target)
    (subject,) = page.content["subjects"]
    for text in missing:
        assert text in err
        assert text in page.text
    for part in ("volume", "history", "views"):
        assert bool(subject[part]) == (part in there), part
    if harm is cut_off:
        assert "the state before it is used" in page.text
    if harm is no_numbers:
        assert "values of the array density are not finite" in page.text
    if harm in (cut_off, no_numbers):
        assert err == ""
    if any(line.startswith(("the arrays", "how the density", "/arrays")) for line in missing):
        assert "shown is out.mrc, which lies beside the state" in page.text


def test_a_run_that_has_not_begun(cli: Cli, folder: Path, parsed: Any) -> None:
    (folder / "out.mrc").unlink()
    shutil.copy(folder / "run.previous.h5", folder / "run.h5")
    status, _, err = cli("report", folder / "run.h5", "-o", folder / "r.html")
    assert status == 0
    assert "nothing is fitted yet" in err
    assert parsed(folder / "r.html").content["subjects"][0]["volume"] is None


def test_nothing_at_all_is_refused(cli: Cli, folder: Path) -> None:
    state, target = folder / "run.h5", folder / "r.html"
    (folder / "run.previous.h5").unlink()
    cut_off(state)
    status, out, err = cli("report", state, "-o", target)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "cut off" in err
    assert not target.exists()
    # Beside another that can be shown it is said in the page.
    status, _, err = cli("report", state, folder / "out.mrc", "-o", target)
    assert status == 0
    assert "cut off" in err


@pytest.mark.parametrize(
    "record", ["", "{", "[]", "null", '{"output": 3, "views": 7, "epochs": "x"}', "\ud800", '{"a":' * 5000]
)
def test_a_tomogram_with_a_record_that_is_none(folder: Path, parsed: Any, record: str) -> None:
    beside = folder / "out.provenance.json"
    beside.write_bytes(record.encode("utf-8", "surrogatepass"))
    (folder / "r.html").write_bytes(make_report(ReportRequest([folder / "out.mrc"])).html)
    page = parsed(folder / "r.html")
    assert page.content["subjects"][0]["volume"]
    assert (record.startswith('{"output"')) != ("provenance: " in page.text)


def test_a_tomogram_that_is_cut_off_has_its_record(folder: Path, parsed: Any) -> None:
    content = (folder / "out.mrc").read_bytes()
    (folder / "out.mrc").write_bytes(content[: len(content) // 2])
    report = make_report(ReportRequest([folder / "out.mrc"]))
    assert "truncated" in " ".join(report.summary["tomograms"][0]["missing"])
    with warnings.catch_warnings(), mrcfile.open(folder / "nan.mrc", mode="w+") as file:
        warnings.simplefilter("ignore")  # of mrcfile, that there are such values
        values = np.ones((4, 8, 8), np.float32)
        values[1:3] = np.nan
        file.set_data(values)
    report = make_report(ReportRequest([folder / "nan.mrc"]))
    assert "128 voxels are not finite" in report.html.decode()


@pytest.mark.parametrize(
    "text", ["", "{}", '{"curves": 3}', '{"curves": {"frequency": [], "fsc": []}}',
             '{"curves": {"frequency": [0.1, null], "fsc": [1, 1]}}', '{"curves": {"frequency": ["a"], "fsc": [1]}}'],
)  # fmt: skip
def test_a_correlation_that_is_none(folder: Path, text: str) -> None:
    (folder / "out_fsc.json").write_text(text)
    report = make_report(ReportRequest([folder / "run.h5"], read_views=False))
    assert any("Fourier shell correlation" in line for line in report.summary["tomograms"][0]["missing"])


def test_the_pages_of_broken_states_are_whole_pages(made: Path) -> None:
    """What is compared above is not the same page each time."""
    one, two = (make_report(ReportRequest([made / name])).html for name in ("run.h5", "out.mrc"))
    assert hashlib.sha256(one).digest() != hashlib.sha256(two).digest()
