"""Limits of control groups, in trees as the kernel, containers and batch systems lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomokit.pipeline.control_groups import control_group_bytes

GIB = 1 << 30


class Machine:
    """The files that a process sees of its control groups."""

    def __init__(self, folder: Path) -> None:
        self.process, self.mount = folder / "proc", folder / "cgroup with a space"
        self.process.mkdir()

    def sees(self, version: int, group: str, root: str = "/") -> None:
        """The process is in `group`; the folder that is mounted shows `root` and what is below."""
        kind, options, line = ("cgroup2", "rw", f"0::{group}") if version == 2 else (
            "cgroup", "rw,memory", f"4:memory:{group}"
        )  # fmt: skip
        with (self.process / "cgroup").open("a") as stream:
            stream.write(f"9:name=systemd:/\n3:cpuset,cpu:/elsewhere\n{line}\n")
        mount = str(self.mount).replace(" ", "\\040")
        with (self.process / "mountinfo").open("a") as stream:
            stream.write(f"30 23 0:28 / {self.mount.parent} rw - tmpfs tmpfs rw\n")
            stream.write(f"35 30 0:32 {root} {mount} rw,relatime shared:9 - {kind} {kind} {options}\n")

    def limit(self, version: int, group: str, limit: int | str, used: int, reclaimable: int = 0) -> None:
        """A group below the mounted folder, with its files."""
        folder = self.mount / group
        folder.mkdir(parents=True, exist_ok=True)
        names = ("memory.max", "memory.current") if version == 2 else (
            "memory.limit_in_bytes", "memory.usage_in_bytes"
        )  # fmt: skip
        (folder / names[0]).write_text(f"{limit}\n")
        (folder / names[1]).write_text(f"{used}\n")
        if reclaimable:
            name = "inactive_file" if version == 2 else "total_inactive_file"
            (folder / "memory.stat").write_text(f"anon 17\n{name} {reclaimable}\nactive_file 9\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_job_above_the_step_holds(machine: Machine, version: int) -> None:
    step = "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"
    machine.sees(version, step)
    machine.limit(version, step[1:], "max" if version == 2 else 9223372036854771712, GIB)
    machine.limit(version, "system.slice/slurmstepd.scope/job_7", 8 * GIB, 3 * GIB)
    machine.limit(version, "system.slice", 64 * GIB, 10 * GIB)
    assert control_group_bytes(machine.process) == 5 * GIB


@pytest.mark.parametrize("version", [1, 2])
def test_the_group_itself_may_be_the_tightest(machine: Machine, version: int) -> None:
    machine.sees(version, "/job/step")
    machine.limit(version, "job/step", 2 * GIB, GIB)
    machine.limit(version, "job", 8 * GIB, 3 * GIB)
    assert control_group_bytes(machine.process) == GIB


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_sees_its_own_group_as_the_root(machine: Machine, version: int) -> None:
    machine.sees(version, "/docker/abc/job", root="/docker/abc")
    machine.limit(version, "", 6 * GIB, GIB)
    machine.limit(version, "job", 4 * GIB, GIB)
    assert control_group_bytes(machine.process) == 3 * GIB


def test_a_path_outside_of_what_is_mounted_leaves_its_root(machine: Machine) -> None:
    machine.sees(2, "/kubepods/pod1/abc", root="/elsewhere")
    machine.limit(2, "", 6 * GIB, GIB)
    assert control_group_bytes(machine.process) == 5 * GIB


@pytest.mark.parametrize("version", [1, 2])
def test_pages_that_the_kernel_gives_back_are_free(machine: Machine, version: int) -> None:
    machine.sees(version, "/job")
    machine.limit(version, "job", 4 * GIB, 3 * GIB, reclaimable=2 * GIB)
    assert control_group_bytes(machine.process) == 3 * GIB


def test_a_group_beyond_its_limit_leaves_nothing(machine: Machine) -> None:
    machine.sees(2, "/job")
    machine.limit(2, "job", GIB, 2 * GIB)
    assert control_group_bytes(machine.process) == 0


def test_without_limits_nothing_is_told(machine: Machine) -> None:
    assert control_group_bytes(machine.process) is None
    machine.sees(1, "/job")
    machine.limit(1, "job", 9223372036854771712, GIB)
    assert control_group_bytes(machine.process) is None


def test_both_versions_count_side_by_side(machine: Machine) -> None:
    machine.sees(1, "/old")
    machine.sees(2, "/new")
    machine.limit(1, "old", 5 * GIB, GIB)
    machine.limit(2, "new", 3 * GIB, GIB)
    assert control_group_bytes(machine.process) == 2 * GIB
