"""What makes an existing interpreter the same one again."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_plan import new_run, scripted_plan

from reprokit.envs.host_probe import host_changes, host_key
from reprokit.errors import DamagedRunError
from reprokit.points import _check_same
from reprokit.stack import Distribution, Probe, ReadyPoint

PROBED = Probe(
    python="3.11.7", executable="/shared/bin/python3",
    distributions=(Distribution(name="torch", version="2.8.0", record_sha256="0"),),
    altered=("torch/a.py",), torch={"version": "2.8.0", "git_version": "a", "file": "/x/t.py"},
    platform={"machine": "x86_64", "libc": "glibc 2.35", "processor": "some"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"python": "3.11.8"}, False),
        ({"platform": {"machine": "aarch64", "libc": "glibc 2.35"}}, False),
        ({"platform": {"machine": "x86_64", "libc": "musl 1.2"}}, False),
        ({"platform": {"machine": "x86_64", "libc": "glibc 2.35", "processor": "other"}}, True),
        ({"torch": {"version": "2.8.0", "git_version": "b", "file": "/x/t.py"}}, False),
        ({"torch": {"version": "2.8.0", "git_version": "a", "file": "/y/t.py"}}, True),
        ({"triton": {"version": "3.4.0"}}, False),
        ({"altered": ()}, False),
        ({"unrecorded": ("torch/b.py",)}, False),
        ({"executable": "/elsewhere/python3"}, True),
    ],
)
def test_the_key_of_an_interpreter_is_what_it_would_run(
    change: dict[str, object], same: bool
) -> None:
    other = PROBED.model_copy(update=change)
    assert (host_key(other) == host_key(PROBED)) is same
    assert (host_changes(PROBED, other) == ()) is same


@pytest.mark.parametrize("kind", ["altered", "unrecorded"])
def test_files_that_are_others_than_before_are_named(kind: str) -> None:
    """As many as before, so that no count tells it."""
    before = PROBED.model_copy(update={kind: ("torch/a.py",)})
    now = PROBED.model_copy(update={kind: ("torch/b.py",)})
    told = host_changes(before, now)
    assert "torch/b.py is another file than it was" in told


@pytest.mark.parametrize("part", ["identity", "lock_sha256", "tree"])
def test_a_point_that_is_another_one_is_not_measured_on(tmp_path: Path, part: str) -> None:
    run = new_run(scripted_plan(), tmp_path)
    before = ReadyPoint(point="p", identity="a", lock_sha256="b", tree="c", python="/p")
    _check_same(run, before, before.model_copy(update={"python": "/q"}))
    with pytest.raises(DamagedRunError, match="another environment or source"):
        _check_same(run, before, before.model_copy(update={part: "other"}))
