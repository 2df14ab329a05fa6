"""Which interpreter `--stack host` means, and how stack points are judged on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import JsonValue
from scripted_plan import new_run, scripted_plan

from reprokit.adapter import Setup
from reprokit.claim.model import Claim
from reprokit.envs import host_stacks
from reprokit.envs.host import host_interpreter
from reprokit.envs.host_probe import HostFindings, Installed, host_changes, host_key
from reprokit.envs.host_stacks import HostEnvironment, HostStacks
from reprokit.envs.probe import ProbeError
from reprokit.envs.steps import StepFailure
from reprokit.errors import DamagedRunError, UsageError
from reprokit.plan import Plan
from reprokit.points import _check_same
from reprokit.progress import nobody
from reprokit.records import Scalar
from reprokit.stack import Distribution, Probe, ReadyPoint, StackPoint

MARKERS = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def chosen(request: str, *folders: Path, passed_over: Path | None = None) -> Path:
    environ = {"PATH": ":".join(map(str, folders))}
    return host_interpreter(request, environ=environ, passed_over=passed_over)


def test_host_alone_is_the_first_python3_but_that_of_reprokit(tmp_path: Path) -> None:
    own = program(tmp_path / "own" / "bin" / "python3")
    second = program(tmp_path / "usr" / "python3")
    assert chosen("host", own.parent, second.parent) == own
    assert chosen("host", own.parent, second.parent, passed_over=tmp_path / "own") == second
    with pytest.raises(UsageError, match="no python3 on the PATH, but the one made for reprokit"):
        chosen("host", own.parent, passed_over=tmp_path / "own")
    with pytest.raises(UsageError, match="no python3 on the PATH"):
        chosen("host", tmp_path / "nothing")


def test_python_counts_only_where_there_is_no_python3(tmp_path: Path) -> None:
    plain = program(tmp_path / "a" / "python")
    assert chosen("host", plain.parent) == plain
    named = program(tmp_path / "b" / "python3")
    assert chosen("host", plain.parent, named.parent) == named


def test_a_link_is_kept_for_it_is_what_makes_a_virtual_environment(tmp_path: Path) -> None:
    real = program(tmp_path / "real")
    link = tmp_path / "venv" / "python"
    link.parent.mkdir()
    link.symlink_to(real)
    assert chosen(f"host:{link}") == link
    assert chosen("host:python", link.parent) == link


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("locked", "'locked' is not a stack"),
        ("host:", "is not a stack"),
        ("host=python", "is not a stack"),
        ("host:no-such-python", "no 'no-such-python' on the PATH"),
        ("host:{root}/nothing", "there is no interpreter"),
        ("host:{root}/venv", "Did you mean --stack host:.*/venv/bin/python"),
        ("host:{root}", "is a folder, not an interpreter"),
        ("host:{root}/plain", "is not executable"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, request_: str, said: str) -> None:
    program(tmp_path / "venv" / "bin" / "python")
    (tmp_path / "plain").write_text("")
    with pytest.raises(UsageError, match=said):
        chosen(request_.format(root=tmp_path), tmp_path)


def distribution(
    name: str, version: str, *requires: str, unverified: str | None = None
) -> Installed:
    return Installed(
        name=name, version=version, requires=list(requires), record_sha256="0", content_sha256="1",
        editable=False, unverified=unverified, altered=[], missing=[], unrecorded=[],
    )  # fmt: skip


def host(*installed: Installed, **facts: dict[str, JsonValue]) -> HostFindings:
    every = tuple(
        Distribution(name=each.name, version=each.version, record_sha256="0", content_sha256="1")
        for each in installed
    )
    found = Probe(
        python="3.11.7", executable="/shared/bin/python3", distributions=every,
        torch=facts.get("torch"), triton=facts.get("triton"),
    )  # fmt: skip
    return HostFindings(found, {each.name: each for each in installed}, dict(MARKERS), {})


def point(*requirements: str, python: str | None = None, **axes: Scalar) -> StackPoint:
    packages = {name: value for name, value in axes.items() if name != "python"}
    return StackPoint(
        id="p", axes=axes, commit=None, python=python, requirements=requirements,
        overrides=tuple(f"{name}=={value}" for name, value in packages.items()),
    )  # fmt: skip


class Judge:
    """Judges one point on an interpreter that says of itself what a test makes it say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.delenv("PYTHONPATH", raising=False)

    def __call__(
        self, asked: StackPoint, found: HostFindings, lock: str | None = None
    ) -> HostEnvironment | StepFailure:
        self._monkeypatch.setattr(host_stacks, "probe_host", lambda python, names: found)
        return stacks(asked, lock).make(())["p"]

    def good(
        self, asked: StackPoint, found: HostFindings, lock: str | None = None
    ) -> HostEnvironment:
        judged = self(asked, found, lock)
        assert isinstance(judged, HostEnvironment), judged
        return judged

    def bad(self, asked: StackPoint, found: HostFindings) -> StepFailure:
        judged = self(asked, found)
        assert isinstance(judged, StepFailure), judged
        return judged


def stacks(asked: StackPoint, lock: str | None = None) -> HostStacks:
    document = {
        "schema": "reprokit/claim/v1", "id": "t", "title": "t", "source": {"builtin": "b"},
        "expect": {"kind": "equivalence", "metric": "latency_ms"},
        "adapter": {"name": "a", "baseline": "x", "subject": "y"},
        "stack": {"requirements": list(asked.requirements), "lock": lock},
    }  # fmt: skip
    claim = Claim.model_validate_json(json.dumps(document))
    setup = Setup(
        model=None, arms={}, options={}, device="cpu", samples=1, warmup=0, seed=1
    )  # fmt: skip
    plan = Plan(
        claim_id="t", claim_digest="0", design="full", seed=1, axes={}, base={}, points=(asked,),
        cells=(), setup=setup, timeout_s=1.0, invocations=(), host="/shared/bin/python3",
    )  # fmt: skip
    return HostStacks(plan, claim, Path("/shared/bin/python3"), nobody)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    return Judge(monkeypatch)


def test_what_fits_has_nothing_to_say(judge: Judge) -> None:
    found = host(
        distribution("torch", "2.7.1+cu126", "triton==3.3.1"), distribution("triton", "3.3.1")
    )
    swept = point("torch==2.7.1", "triton==3.3.1", triton="3.3.1")
    judged = judge.good(swept, found)
    assert (judged.unmet, judged.notes, judged.undeclared) == ((), (), None)
    assert judged.key.startswith("host-")
    assert "lock t.lock is not used" in judge.good(swept, found, "t.lock").notes[0]


def test_a_swept_package_of_another_version_needs_an_overlay(judge: Judge) -> None:
    found = host(distribution("torch", "2.11.0"), distribution("triton", "3.6.0"))
    swept = point("torch", "triton==3.4.0", triton="3.4.0")
    failure = judge.bad(swept, found)
    assert failure.code == "overlay_needed"
    assert "triton==3.4.0, and the interpreter has 3.6.0" in failure.detail
    absent = judge.bad(swept, host(distribution("torch", "2.11.0")))
    assert (absent.code, "has none" in absent.detail) == ("overlay_needed", True)


def test_a_swept_python_is_the_interpreters_or_fails(judge: Judge) -> None:
    found = host(distribution("a", "1"))

    def swept(version: str) -> StackPoint:
        plain = point("a", python=version)
        return plain.model_copy(update={"axes": {"python": version}})

    failure = judge.bad(swept("3.12"), found)
    assert (failure.code, "is 3.11.7" in failure.detail) == ("other_python", True)
    assert judge.good(swept("3.11"), found).unmet == ()
    assert judge.bad(swept("3.1"), found).code == "other_python"


def test_other_versions_are_measured_and_listed(judge: Judge) -> None:
    found = host(distribution("torch", "2.11.0"), distribution("numpy", "2.0"))
    asked = point("torch==2.7.1", "numpy>=1", python=">=3.12")
    judged = judge.good(asked, found)
    assert judged.unmet == (
        "Python >=3.12 is asked for and the interpreter is 3.11.7",
        "torch==2.7.1 is asked for and the interpreter has 2.11.0",
    )
    assert set(judged.unmet) <= set(judged.notes)


@pytest.mark.parametrize(
    ("installed", "fits"),
    [
        ("2.8.0", True), ("2.8.0+cu128", True), ("2.8.0a0+git1.nv25.6", False),
        ("2.8.0-custom-build", False),
    ],
)  # fmt: skip
def test_versions_of_vendors_are_compared_and_never_guessed(
    judge: Judge, installed: str, fits: bool
) -> None:
    judged = judge.good(point("torch==2.8.0"), host(distribution("torch", installed)))
    assert (judged.unmet == ()) is fits


@pytest.mark.parametrize(
    ("asked", "fits"), [("torch>=2.7", True), ("torch>=2.8", False), ("torch<2.8", False)]
)
def test_a_vendors_version_between_releases_is_in_the_range_that_holds_it(
    judge: Judge, asked: str, fits: bool
) -> None:
    judged = judge.good(point(asked), host(distribution("torch", "2.8.0a0+git1.nv25.6")))
    assert (judged.unmet == ()) is fits


def test_everything_that_is_missing_is_listed_at_once(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = point(
        "torch", "transformers", "pywin32; sys_platform == 'win32'", "triton", triton="3.4.0"
    )
    failure = judge.bad(asked, host(distribution("numpy", "1")))
    assert failure.code == "requirements_missing"
    assert "torch, transformers, triton==3.4.0" in failure.detail
    assert "pywin32" not in failure.detail
    assert "PYTHONPATH" not in failure.detail
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    found = host()
    found.user_site["torch"] = "2.8.0"
    detail = judge.bad(asked, found).detail
    assert "PYTHONPATH is set, and is not handed on" in detail
    assert "torch: only in the user's own folder" in detail


def test_what_is_declared_is_read_through_everything_that_is_required(judge: Judge) -> None:
    found = host(
        distribution("a", "1", "b", "c; python_version < '3'", "no requirement ###"),
        distribution("b", "1", "d>=2", "e"), distribution("d", "1.5"),
        distribution("unrelated", "1", "missing-too"),
    )  # fmt: skip
    assert judge.good(point("a"), found).undeclared == (
        "b 1 requires d>=2, and the interpreter has 1.5; "
        "b 1 requires e, and the interpreter has none"
    )


def test_triton_under_a_vendors_name_counts(judge: Judge) -> None:
    found = host(
        distribution("torch", "2.8.0"),
        triton={"distribution": "3.3.0", "version": "3.3.0", "file": None},
    )
    assert judge.good(point("torch", "triton", triton="3.3.0"), found).unmet == ()


def test_metadata_that_contradicts_the_module_is_refused(judge: Judge) -> None:
    def of(module: str) -> HostFindings:
        facts: dict[str, JsonValue] = {"distribution": "2.8.0", "version": module, "file": "/t.py"}
        return host(distribution("torch", "2.8.0"), torch=facts)

    assert judge.good(point("torch"), of("2.8.0+cu128")).unmet == ()
    failure = judge.bad(point("torch"), of("2.9.0"))
    assert (failure.code, "2.9.0" in failure.detail) == ("inconsistent", True)


def test_what_could_not_be_verified_is_a_note(judge: Judge) -> None:
    found = host(
        distribution("a", "1", unverified="no_record"),
        distribution("b", "1", unverified="editable"),
    )
    notes = judge.good(point("a"), found).notes
    assert [note.partition(": ")[2] for note in notes] == ["a", "b"]
    assert all(note.startswith("not verified, 1 ") for note in notes)


def test_an_interpreter_that_cannot_be_probed_fails_every_point(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(python: Path, names: object) -> HostFindings:
        raise ProbeError("it hangs", hint="Try another")

    monkeypatch.setattr(host_stacks, "probe_host", fails)
    failure = stacks(point("a")).make(())["p"]
    assert failure == StepFailure("probe_failed", "it hangs. Try another")


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
