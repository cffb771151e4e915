"""The page by its text: what it may load, what is escaped, and that its data are those of the tomogram."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from tomokit.data import Volume
from tomokit.io import write_volume
from tomokit.report.fourier import find_halves
from tomokit.report.grey_volume import GreyVolume, decode, quantized
from tomokit.report.page import as_data
from tomokit.report.plain import as_text, flattened, ranges
from tomokit.report.report import ReportRequest, make_report

Cli = Callable[..., tuple[int, str, str]]
Parse = Callable[[Path], Any]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_a_state_in_one_file(cli: Cli, made: Path, tmp_path: Path, parsed: Parse) -> None:
    page_file = tmp_path / "r.html"
    status, out, err = cli("report", made / "run.h5", "-o", page_file, "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["bytes"] == page_file.stat().st_size < 500_000
    (entry,) = told["tomograms"]
    assert (entry["shape"], entry["missing"]) == ([16, 32, 40], [])
    assert entry["shown"] == {"shape": [16, 32, 40], "bin": 1, "levels": 256}
    page = parsed(page_file)
    (subject,) = page.content["subjects"]
    assert subject["history"]["epoch"] == [1, 2, 3]
    assert len(subject["rings"]["measured"]) == len(subject["rings"]["frequency"]) == 10
    roles = [view["role"] for view in subject["views"]]
    assert (len(roles), roles.count("held out")) == (16, 3)
    assert [view["tilt_deg"] for view in subject["views"]][:2] == [-60, -52]
    assert len(subject["pictures"]) == 3
    for words in ("Held-out correlation", "13 fitted, 3 held out", "SHA-256", "options.epochs", "-60.0° to 60.0°"):
        assert words in page.text
    assert cli("report", made / "run.h5", "-o", page_file)[0] == 2
    assert cli("report", made / "run.h5", "-o", page_file, "--overwrite", "--no-views")[0] == 0


def test_its_volume_is_the_tomogram(made: Path, tmp_path: Path, parsed: Parse) -> None:
    """Of a state and of the file that was written of it: the same levels."""
    target = tmp_path / "r.html"
    target.write_bytes(make_report(ReportRequest([made / "run.h5", made / "out.mrc"])).html)
    page = parsed(target)
    with mrcfile.open(made / "out.mrc") as file:
        values = file.data.copy()
    for subject in page.content["subjects"]:
        told = subject["volume"]
        assert (told["voxel"], told["known"]) == (10, True)
        grey = GreyVolume(
            tuple(told["shape"]), told["bin"], told["low"], told["high"], told["levels"], tuple(told["window"]), 0,
            page.stream(told["stream"]),
        )  # fmt: skip
        expected = [section for section, _ in quantized(values, 1, grey.low, grey.high, grey.levels)]
        np.testing.assert_array_equal(decode(grey), expected)
    assert page.content["linked"] == "length"


def test_it_loads_nothing_and_runs_nothing_but_its_own(made: Path, tmp_path: Path, parsed: Parse) -> None:
    target = tmp_path / "r.html"
    target.write_bytes(make_report(ReportRequest([made / "run.h5"])).html)
    page, text = parsed(target), target.read_text("utf-8")
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert rules["img-src"] == "data:"
    for element, rule in ((page.scripts, "script-src"), (page.styles, "style-src")):
        (content,) = element
        digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    # The policy comes before all that it is to hold back.
    order = [tag for tag, _ in page.tags]
    assert order.index("meta") < min(order.index("style"), order.index("script"))
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("style", "src", "srcset", "action")}
    links = [a["href"] for _, a in page.tags if "href" in a]
    assert links
    assert all(link.startswith("#") for link in links)
    # The one address is the name of a name space.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|innerHTML|document\.write|eval\(", text)


def test_identifiers_that_the_script_looks_for_are_there_once(made: Path, tmp_path: Path, parsed: Parse) -> None:
    target = tmp_path / "r.html"
    target.write_bytes(make_report(ReportRequest([made / "run.h5", made / "run.h5"])).html)
    page = parsed(target)
    there = [a["id"] for _, a in page.tags if "id" in a]
    assert len(there) == len(set(there))
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', page.scripts[0]))
    assert wanted > {"stage", "theme"}
    assert wanted - set(there) <= {"regions-figures"}
    labelled = {a["for"] for tag, a in page.tags if tag == "label" and "for" in a}
    inputs = [a for tag, a in page.tags if tag in ("input", "select")]
    assert all(a["id"] in labelled or a.get("type") == "checkbox" or a["id"] == "theme" for a in inputs)


def test_text_of_files_is_text(folder: Path, tmp_path: Path, parsed: Parse) -> None:
    """In names of files, settings, labels of regions and warnings, and in JSON inside a script element."""
    name = f"{HOSTILE.replace('/', '_')}.mrc"
    tomogram = folder / name
    shutil.copy(folder / "out.mrc", tomogram)
    record = json.loads((folder / "out.provenance.json").read_text())
    record["configuration"]["stack"] = HOSTILE
    record["configuration"][HOSTILE] = [{"a": HOSTILE}]
    record["method"] = record["output"] = record["linearization"]["reason"] = HOSTILE
    record["linearization"]["volume_units"] = HOSTILE
    tomogram.with_name(name.replace(".mrc", ".provenance.json")).write_text(json.dumps(record))
    regions = {"regions": [{"name": HOSTILE, "rectangle": [1, 1, 9, 9], "z": 2}]}
    (folder / "r.json").write_text(json.dumps(regions))
    target = tmp_path / "r.html"
    request = ReportRequest([tomogram], regions=folder / "r.json", title=HOSTILE)
    target.write_bytes(make_report(request).html)
    page = parsed(target)
    assert len(page.scripts) == 1
    assert not [tag for tag, _ in page.tags if tag == "img"]
    # Title and headline, method, reason, stack, key and value, region; the warning that the record is of another file.
    assert page.text.count(HOSTILE) >= 8
    assert page.content["subjects"][0]["regions"][0]["name"] == HOSTILE
    assert page.content["subjects"][0]["name"] == name
    assert "<img src=x" not in target.read_text("utf-8")


@pytest.mark.parametrize("value", [HOSTILE, "<!--", "]]>", "\u2028", "é\ud800", {"<a>": "&amp;"}])
def test_data_in_a_script_element(value: object) -> None:
    text = as_data(value)
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


def test_a_name_that_is_no_text(made: Path, tmp_path: Path, parsed: Parse) -> None:
    path = tmp_path / "bad\udcff\x1b[31m.mrc"
    shutil.copy(made / "out.mrc", path)
    target = tmp_path / "r.html"
    target.write_bytes(make_report(ReportRequest([path])).html)
    assert "bad\\udcff\\x1b[31m.mrc" in parsed(target).text


def test_halves_trust_and_regions(cli: Cli, folder: Path, tmp_path: Path, parsed: Parse) -> None:
    rng = np.random.default_rng(0)
    with mrcfile.open(folder / "out.mrc") as file:
        values = file.data.copy()
    for half in ("even", "odd"):
        noisy = values + 0.3 * values.std() * rng.standard_normal(values.shape)
        write_volume(folder / f"out_{half}.mrc", Volume(noisy.astype(np.float32)))
    write_volume(folder / "map.mrc", Volume(np.linspace(0, 1, values.size, dtype=np.float32).reshape(values.shape)))
    regions = {
        "regions": [
            {"name": "particle", "rectangle": [5, 6, 15, 16], "z": 3},
            {"name": "ice", "rectangle": [25, 6, 35, 16], "z": 3},
        ],
        "pairs": [["particle", "ice"]],
    }
    (folder / "r.json").write_text(json.dumps(regions))
    target = tmp_path / "r.html"
    words = ("--trust", folder / "map.mrc", "--regions", folder / "r.json")
    assert cli("report", folder / "run.h5", "-o", target, *words)[0] == 0
    page = parsed(target)
    (subject,) = page.content["subjects"]
    # Found beside the tomogram of the run, and computed.
    assert "out_even.mrc" in subject["correlation"]["from"]
    assert len(subject["correlation"]["frequency"]) == 20
    assert subject["trust"]["low"] < 0.01
    assert subject["trust"]["high"] > 0.99
    assert subject["regions"][1]["start"] == [3, 6, 25]
    assert "CNR of particle against ice" in " ".join(page.text.split())
    assert "Resolution, half bit" in page.text

    for half, short in (("even", "EVN"), ("odd", "ODD")):
        shutil.copy(folder / f"out_{half}.mrc", folder / f"a_{short}_Vol.mrc")
    assert find_halves(folder / "a_Vol.mrc").second == folder / "a_ODD_Vol.mrc"
    status, out, _ = cli("fsc", folder / "out_even.mrc", folder / "out_odd.mrc", "--json", "--mask", "none")
    assert status == 0
    whole = json.loads(out)
    sharper = {**whole, "tilt_range_deg": [-60, 60]}
    (folder / "out_fsc.json").write_text(json.dumps({**whole, "without_wedge": sharper}))
    assert cli("report", folder / "out.mrc", "-o", target, "--overwrite")[0] == 0
    (subject,) = parsed(target).content["subjects"]
    assert subject["correlation"]["from"] == "read from out_fsc.json"
    assert subject["correlation"]["curves"]["fsc"] == whole["curves"]["fsc"]
    assert subject["correlation"]["without_wedge"]["tilt_range_deg"] == [-60, 60]
    assert "; missing wedge counted too, " in parsed(target).text


def test_axes_as_imod_has_them_are_turned_back(folder: Path, tmp_path: Path, parsed: Parse) -> None:
    from tomokit.io.output_form import OutputForm
    from tomokit.pipeline.export import export
    from tomokit.report.densities import read_tomogram

    export(folder / "run.h5", folder / "turned.rec", form=OutputForm("xzy", "float32", True))
    record = json.loads((folder / "turned.rec.provenance.json").read_text())
    with mrcfile.open(folder / "out.mrc") as file:
        for known in (record, {}):
            found = read_tomogram(folder / "turned.rec", known)
            np.testing.assert_array_equal(found.values, -file.data)
            assert len(found.warnings) == 2


def test_what_makes_no_sense_is_refused(cli: Cli, folder: Path, tmp_path: Path) -> None:
    run, target = folder / "run.h5", tmp_path / "r.html"
    for words, said in (
        ([run] * 5, "5 tomograms; give up to 4"),
        ([run, "--half1", folder / "out.mrc"], "1 and 0 halves"),
        ([run, "--trust", folder / "a", "--trust", folder / "b"], "maps of 2 tomograms, of which there are 1"),
        ([run, "--max-size", "0"], "--max-size: 0 megabytes"),
        ([folder / "none.h5"], "nothing can be shown: the file: there is none of that name"),
        ([folder / "tilts.tlt"], "nothing can be shown: the tomogram: "),
        ([folder], "it is a directory, not a file"),
    ):
        status, out, err = cli("report", *words, "-o", target)
        assert (status, out) == (2, ""), words
        assert said in err
        assert err.count("\n") == 1
        assert not target.exists()
    page = shutil.copy(folder / "out.mrc", folder / "out.html")
    assert "under the name of something else" in cli("report", run, "-o", tmp_path / "r.mrc")[2]
    assert "is an input of this job" in cli("report", page, "-o", page, "--overwrite")[2]


def test_a_page_has_no_more_than_it_may_have(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((20, 200, 200)).astype(np.float32)
    write_volume(tmp_path / "v.mrc", Volume(noise))
    report = make_report(ReportRequest([tmp_path / "v.mrc"], most_megabytes=1))
    assert len(report.html) < 1_000_000
    assert report.summary["tomograms"][0]["shown"]["bin"] == 2
    four = make_report(ReportRequest([tmp_path / "v.mrc"] * 4, most_megabytes=2))
    assert len(four.html) < 2_000_000


def test_what_a_reader_sees_of_settings() -> None:
    nested = {"a": {"b": None, "c": [0, 1, 2, 5]}, "d": [{"e": True}, 1.25], "f": {}, "g": "x" * 900}
    rows = dict(flattened(nested))
    assert rows["a.b"] == "–"
    assert rows["a.c"] == "0–2, 5"
    assert rows["d.0.e"] == "yes"
    assert rows["d.1"] == "1.25"
    assert rows["f"] == "none"
    assert len(rows["g"]) == 400
    assert ranges([]) == ""
    assert as_text([1.0, "a"]) == "1, a"


def test_the_stream_is_zlib(made: Path) -> None:
    """As the browser's DecompressionStream takes it."""
    html = make_report(ReportRequest([made / "out.mrc"])).html
    match = re.search(rb'id="volume-A">([^<]+)<', html)
    assert match
    assert len(zlib.decompress(base64.b64decode(match[1]))) == 16 * 32 * 40
