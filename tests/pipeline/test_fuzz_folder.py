"""Folders of mangled files: each gives a series or one line, and no file is used whose views are another number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from fuzzing import Tally, fuzz_settings
from hypothesis import given
from hypothesis import strategies as st

from tomokit.commands.folder_table import found_text
from tomokit.formats.front import read_alignment
from tomokit.pipeline.config import build_request
from tomokit.pipeline.folder import find_series

VIEWS = 5
TILT = [-20.0, -10.0, 0.0, 10.0, 20.0]
XF = "0.5 0.866 -0.866 0.5 3.25 -1.5\n"
ALN = (
    "# AreTomo Alignment\n# RawSize = 8 6 5\n# SEC ROT GMAG TX TY SMEAN SFIT SCALE BASE TILT\n"
    + "".join(f"{i} 60.0 1.0 0.0 1.0 1 1 1 0 {t}\n" for i, t in enumerate(TILT))
)  # fmt: skip
TEXTS = {
    "ts.tlt": "".join(f"{t}\n" for t in TILT), "ts.rawtlt": "".join(f"{t}\n" for t in TILT), "ts.xf": XF * VIEWS,
    "ts_final.xf": XF * VIEWS, "other.xf": XF * 3, "ts.xtilt": "0.5\n" * VIEWS, "ts.aln": ALN, "ts.prexg": XF * VIEWS,
    "tilt.com": "$tilt -StandardInput\nTILTFILE ts.tlt\nTHICKNESS 8\nOFFSET 1.0\nEXCLUDELIST 2\n",
    "newst.com": "$newstack -StandardInput\nInputFile ts.st\nTransformFile ts.xf\nBinByFactor 1\n",
    "ts.edf": "Setup.DatasetName=ts\nSetup.PixelSize=1.0\n", "ts.json": "{}", "ts.xml": "<TiltSeries></TiltSeries>",
    "ts.mdoc": "".join(f"[ZValue = {i}]\nTiltAngle = {t}\nExposureDose = 2\n" for i, t in enumerate(TILT)),
    "ts_CTF.txt": "1 2 3 4 5 6 7\n", "ts.star": "data_x\n\nloop_\n_rlnTomoYTilt\n1\n2\n", "notes.txt": "none\n",
}  # fmt: skip
MRC = ("ts.st", "ts_ali.mrc", "ts_preali.mrc", "ts_mask.mrc", "ts_EVN.mrc", "ts_full.rec", "b.mrc")


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    counts = Tally()
    yield counts
    print(f"\n{counts}")


@pytest.fixture(scope="module")
def stack_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stack") / "a.mrc"
    with mrcfile.new(path, data=np.ones((VIEWS, 6, 8), np.float32)) as mrc:
        mrc.set_image_stack()
        mrc.voxel_size = 10
    return path.read_bytes()


@fuzz_settings(120)
@given(
    texts=st.sets(st.sampled_from(sorted(TEXTS)), max_size=7),
    stacks=st.sets(st.sampled_from(MRC), max_size=2),
    data=st.data(),
)
def test_mangled_folders(
    tmp_path: Path, tally: Tally, stack_bytes: bytes, texts: set[str], stacks: set[str], data: st.DataObject
) -> None:
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in texts:
        raw = TEXTS[name].encode()
        cut = data.draw(st.sampled_from([len(raw), len(raw), len(raw) // 2, 0]))
        extra = data.draw(st.sampled_from([b"", b"", b"", b"\nnan", b"\xff\xfe\0", b" 1,5"]))
        (folder / name).write_bytes(raw[:cut] + extra)
    for name in stacks | {"ts.st"}:
        cut = data.draw(st.sampled_from([None, None, None, 1100, 10]))
        (folder / name).write_bytes(stack_bytes[:cut])
    found = tally.run("folder", lambda: find_series(folder))
    if found is not None:
        json.dumps(found.to_json(), allow_nan=False)
        assert all(line.isprintable() for line in found_text(found).split("\n"))
        request = tally.run(
            "request", lambda: build_request({"stack": folder, "output": tmp_path / "o.mrc"}, found=found)
        )
        assert request is not None
        for role in ("xf", "alignment"):
            path = getattr(request, role, None)
            if path is not None:
                assert read_alignment(path, tilt_deg=np.array(TILT)).alignment.n_views == VIEWS
