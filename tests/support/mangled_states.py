"""States with damage behind a valid seal: what a stranger may send, or a disk may return before the seal is made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
from stop_after import StopAfter

from tomokit.state.record import previous_path
from tomokit.state.seal import SEAL_BYTES, seal_of

TEXTS = ("provenance", "job", "history", "density")
# Values of every type of JSON, and numbers that no field of a state is meant for.
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, -(2**63), 10**18, 10**30, 10**400, 0.0, 0.5, -0.5, 1e-300, 1e30,
    1e300, float("nan"), float("inf"), float("-inf"), "", "x", "sirt", "octree", "0", "nan", "a\0b", "\ud800",
    "x" * 5000, "../../../../tmp/elsewhere.mrc", "/dev/zero", [], [0], [1, 2, 3], [[]], [None], {}, {"x": 1}, {"": {}},
)  # fmt: skip
ODD_TYPES = ("f8", "f4", "f2", "i1", "u1", "i4", "i8", "u8", ">f4", "c8", "?", "S4")
ODD_NUMBERS = (float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e30, -1e30, 3e38, 1e-40)
ODD_INTEGERS = (-1, 0, 1, 2, 19, 20, 63, 64, 2**31 - 1, -(2**31), 2**62)
MOST_BYTES = 1 << 28
HUGE_SHAPES = ((1 << 32,), (1 << 20, 1 << 12), (1 << 40,), (1 << 16, 1 << 10, 1 << 10), (3, 0, 1 << 50))


def seal(path: Path) -> None:
    """Write the seal anew, as if the file had been written so."""
    content = path.read_bytes()[SEAL_BYTES:]
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(seal_of(SEAL_BYTES + len(content), digest) + content)


def mangle(source: Path, target: Path, random: Random) -> str:
    """Copy a state, harm it in one to three ways, and seal it again.

    Parameters
    ----------
    source, target : Path
        A state that is whole, and the file to be made.
    random : Random
        What is done follows from it.

    Returns
    -------
    str
        What was done.
    """
    shutil.copyfile(source, target)
    done = []
    # Bytes last: what HDF5 cannot read any more cannot be harmed through it.
    harms = random.choices(HARMS, k=random.choice((1, 1, 1, 2, 3)))
    for harm in sorted(harms, key=lambda harm: harm is flip_structure):
        try:
            done.append(harm(target, random))
        except (
            OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, UnicodeError, MemoryError,
        ) as error:  # fmt: skip
            # After another harm there may be nothing left for this one, or an array larger than memory.
            done.append(f"({harm.__name__}: {type(error).__name__})")
    seal(target)
    return "; ".join(done)


def _whole(dataset: Any) -> Any:
    """All of a dataset; one that an earlier harm made huge would take the memory of the whole machine."""
    if dataset.nbytes > MOST_BYTES:
        raise MemoryError(f"{dataset.name} has {dataset.nbytes} bytes")
    return dataset[()]


def _text_of(dataset: Any) -> Any:
    return json.loads(_whole(dataset))


def replace_text(file: Any, name: str, text: str | bytes) -> None:
    """Put a text in the place of one, as a string of variable length, with its own digest."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if name in file:
        del file[name]
    kind = h5py.string_dtype("utf-8")
    file.create_dataset(name, data=np.array(raw, object), dtype=kind)
    file[name].attrs["sha256"] = hashlib.sha256(raw).hexdigest()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values below one."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:4]):
            found += _places(inner, (*path, index))
    return found


def change_json(path: Path, random: Random) -> str:
    """Replace, remove or add a value somewhere in a text."""
    with h5py.File(path, "r+") as file:
        name = random.choice(TEXTS)
        value = _text_of(file[name])
        places = _places(value)
        how = random.choice(("replace", "replace", "replace", "remove", "add", "whole", "scale"))
        if how == "whole" or not places:
            value = new = random.choice(STRANGE)
            place: tuple[Any, ...] = ()
        else:
            place = random.choice(places)
            inner = value
            for key in place[:-1]:
                inner = inner[key]
            new = random.choice(STRANGE)
            if how == "remove":
                del inner[place[-1]]
            elif how == "add" and isinstance(inner, dict):
                inner[random.choice(("extra", "stack", "output", "overwrite", "kind", "epochs"))] = new
            elif how == "scale" and isinstance(inner[place[-1]], (int, float)):
                new = inner[place[-1]] = inner[place[-1]] * random.choice((-1, 2, 1000, 10**9))
            else:
                inner[place[-1]] = new
        replace_text(file, name, json.dumps(value, indent=1))
    return f"{name}{list(place)} {how} {str(new)[:40]!r}"


def spoil_text(path: Path, random: Random) -> str:
    """Make a text something else than JSON, or JSON that is hard to read."""
    name = random.choice(TEXTS)
    with h5py.File(path, "r+") as file:
        text = _whole(file[name])
        forms: dict[str, bytes] = {
            "cut": text[: random.randrange(len(text))],
            "bytes": text[:20] + b"\xff\xfe" + text[20:],
            "deep": b"[" * 100_000 + b"]" * 100_000,
            "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
            "digits": b'{"tomokit": ' + b"9" * 5000 + b"}",
            "empty": b"",
            "many": b"[" + b"[]," * 100_000 + b"[]]",
        }
        how = random.choice(list(forms))
        replace_text(file, name, forms[how])
    return f"{name} as {how}"


def change_array(path: Path, random: Random) -> str:
    """Give an array other values, another type or shape, another name, or remove it."""
    with h5py.File(path, "r+") as file:
        group = file["arrays"]
        name = random.choice(sorted(group))
        array = np.asarray(_whole(group[name]))
        how = random.choice(("values", "values", "values", "type", "shape", "cut", "grow", "remove", "rename", "extra"))
        new = array.copy()
        new_name = name
        if how == "values" and array.size:
            flat = new.reshape(-1)
            at = random.randrange(flat.size)
            odd = random.choice(ODD_NUMBERS if flat.dtype.kind == "f" else ODD_INTEGERS)
            with np.errstate(all="ignore"):
                flat[at : at + random.choice((1, 1, 100))] = np.asarray(odd).astype(flat.dtype)
        elif how == "type":
            with np.errstate(all="ignore"):
                new = array.astype(random.choice(ODD_TYPES))
        elif how == "shape":
            new = random.choice((array.reshape(-1), array[None], array.T, array.reshape(-1)[:1].reshape(())))
        elif how == "cut":
            new = array[: len(array) // 2] if array.ndim else array
        elif how == "grow":
            new = np.concatenate([array, array, array]) if array.ndim else np.repeat(array, 3)
        elif how == "rename":
            new_name = random.choice(("other", "values", "density", "forest_level", "../x", "\N{SNOWMAN}" * 90))
        del group[name]
        if how != "remove":
            store(group, new_name, new)
        if how == "extra":
            store(group, "extra", np.zeros(random.choice(((0,), (3,), ()))))
    return f"array {name} {how} {new.dtype}{new.shape}"


def store(group: Any, name: str, array: Any, **options: Any) -> None:
    """Store an array with its own digest."""
    group.create_dataset(name, data=array, **options)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    group[name].attrs["sha256"] = np.bytes_(digest)


def change_storage(path: Path, random: Random) -> str:
    """Store an array or a text in a way that is not documented: huge and empty, elsewhere, filtered, linked."""
    with h5py.File(path, "r+") as file:
        group = file["arrays"]
        text = random.random() < 0.25 or not len(group)
        parent, name = (file, random.choice(TEXTS)) if text else (group, random.choice(sorted(group)))
        old = parent[name]
        array, digest = _whole(old), old.attrs["sha256"]
        array = np.frombuffer(array, np.uint8) if isinstance(array, bytes) else np.asarray(array)
        shape = random.choice(HUGE_SHAPES)
        del parent[name]
        how = random.choice(
            ("chunked", "contiguous", "gzip", "shuffle", "external", "virtual", "soft", "outside", "compact", "fixed",
             "null", "strings", "group", "type", "chunks")
        )  # fmt: skip
        if how == "chunked":
            parent.create_dataset(
                name, shape, random.choice(("f4", "f8", "u1")), chunks=tuple(min(64, n or 1) for n in shape)
            )
        elif how == "contiguous":
            parent.create_dataset(name, shape, random.choice(("f4", "f8", "u1")))
        elif how in ("gzip", "shuffle", "chunks"):
            options = {"gzip": {"compression": "gzip"}, "shuffle": {"shuffle": True}, "chunks": {}}[how]
            array = array if array.ndim and array.size else np.zeros(8)
            parent.create_dataset(name, data=array, chunks=True, **options)
        elif how == "external":
            parent.create_dataset(name, (10,), "u1", external=[(random.choice(("/etc/hostname", "other.bin")), 0, 10)])
        elif how == "virtual":
            layout = h5py.VirtualLayout((10,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "data", (10,))
            parent.create_virtual_dataset(name, layout)
        elif how == "soft":
            parent[name] = h5py.SoftLink(random.choice(("/history", "/nowhere", "/", f"/arrays/{name}")))
        elif how == "outside":
            parent[name] = h5py.ExternalLink(random.choice(("other.h5", "/etc/passwd", path.name)), "/history")
        elif how == "compact":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((8,))
            h5py.h5d.create(parent.id, name.encode(), h5py.h5t.IEEE_F32LE, space, plist)
        elif how == "fixed":
            parent.create_dataset(name, (), f"S{random.choice((10, 1 << 28, (1 << 31) - 1))}")
        elif how == "null":
            parent.create_dataset(name, data=h5py.Empty("f4"))
        elif how == "strings":
            parent.create_dataset(name, random.choice(((3,), (1 << 27,))), h5py.string_dtype())
        elif how == "group":
            parent.create_group(name)
        else:
            parent[name] = np.dtype("f4")
        if how not in ("soft", "outside"):
            parent[name].attrs["sha256"] = digest
    return f"{name} {how} {shape}"


def change_attributes(path: Path, random: Random) -> str:
    """Remove an attribute, or give it a value of another type or size."""
    with h5py.File(path, "r+") as file:
        owners = [file, file, *(file[name] for name in TEXTS), *file["arrays"].values(), file["arrays"]]
        owner = random.choice(owners)
        name = random.choice(sorted(owner.attrs) or ["extra"])
        if random.random() < 0.3 and name in owner.attrs:
            del owner.attrs[name]
            return f"{owner.name}@{name} removed"
        odd: list[Any] = [
            -1, 0, 1, 3, 10**6, 2**62, -(2**62), np.uint64(2**64 - 1), 0.5, float("nan"), float("inf"), 1e300, "x", "",
            "3", b"\xff\xfe", [1, 2], np.zeros((100, 100)), h5py.Empty("f4"), True, np.float32(2),
            np.array(["a", "b"], "S1"),
        ]  # fmt: skip
        value = random.choice(odd)
        owner.attrs[name] = value
        return f"{owner.name}@{name} = {str(value)[:30]!r}"


def flip_structure(path: Path, random: Random) -> str:
    """Change bytes of HDF5's own structure, between the arrays."""
    arrays: list[tuple[int, int]] = []
    with h5py.File(path) as file:
        for dataset in file["arrays"].values():
            offset = dataset.id.get_offset()
            if offset is not None:
                arrays.append((offset, offset + dataset.id.get_storage_size()))
    content = bytearray(path.read_bytes())
    size = len(content)
    positions = []
    for _ in range(random.choice((1, 1, 2, 8))):
        for _ in range(1000):
            at = random.randrange(SEAL_BYTES, size)
            if not any(low <= at < high for low, high in arrays):
                break
        positions.append(at)
        content[at] = random.choice((0, 0xFF, content[at] ^ (1 << random.randrange(8)), random.randrange(256)))
    path.write_bytes(bytes(content))
    return f"bytes at {positions}"


HARMS: tuple[Callable[[Path, Random], str], ...] = (
    change_json, change_json, change_json, spoil_text, change_array, change_array, change_array, change_storage,
    change_storage, change_attributes, flip_structure,
)  # fmt: skip


def make_states(folder: Path, stack: Path, octrees: bool = True) -> dict[str, Path]:
    """Make small states of every method: begun, stopped on the way, and finished.

    Parameters
    ----------
    folder : Path
        Where they go.
    stack : Path
        A series of ``tomokit simulate``, angles beside it.
    octrees : bool
        Whether those of the octree are among them, whose kernels take long to compile.

    Returns
    -------
    dict of str to Path
        By ``METHOD-MOMENT``.
    """
    from tomokit.pipeline.driver import reconstruct
    from tomokit.pipeline.request import ReconstructionRequest

    octree = {
        "n": 5, "max_leaves": 80, "leaf_px": 16.0, "finer": 1, "structure_epochs": [1], "structure_stall": 0.0,
        "coarse_epochs": 1, "optimizer": "adam", "regularizers": {"cnlc": {"weight": 1e-5}},
    }  # fmt: skip
    jobs: dict[str, dict[str, Any]] = {"octree": octree, "sirt": {}, "sart": {}, "sart-tv": {"inner": 3}, "tv": {}}
    states = {}
    if not octrees:
        del jobs["octree"]
    for method in (*jobs, "wbp"):
        options = {} if method == "wbp" else {"epochs": 3, **jobs[method]}
        looks = {"octree": 14, "sart": 14, "sart-tv": 14, "wbp": 99}.get(method, 2)
        for moment, left in (("begun", 0), ("stopped", looks), ("finished", 10**6)):
            path = folder / f"{method}-{moment}.h5"
            request = ReconstructionRequest(
                stack=stack, output=folder / f"{method}-{moment}.mrc", method=method, thickness=12, options=options,
                hold_out=5, state=path, preview=False,
            )  # fmt: skip
            reconstruct(request, stop=StopAfter(left))
            if moment == "begun":
                # The one that is written before the first step, and has no arrays.
                os.replace(previous_path(path), path)
            states[f"{method}-{moment}"] = path
    for path in folder.iterdir():
        if path.suffix != ".h5" or ".previous" in path.name:
            os.unlink(path)
    return states
