"""The stage `prepare` as a whole: the real uv and Git, tiny wheels, no network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dummy_wheels import (
    resolved,
)

from reprokit.adapter import AssetStep, Command, PointContext, Setup
from reprokit.cache import CacheLayout
from reprokit.claim.model import Claim
from reprokit.envs.lock import parse_lock
from reprokit.envs.prepare import PreparedPoint, PrepareOptions, prepare_points
from reprokit.errors import (
    ClaimError,
    ReprokitError,
)
from reprokit.plan import Cell, Plan
from reprokit.progress import Event
from reprokit.records import Arm, Scalar
from reprokit.stack import StackPoint

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("offline")]


class _Adapter:
    """Asks for one asset made by a script; its benchmark is never run here."""

    name = "dummy"
    title = "dummy"

    def __init__(self, source: Path, script: str) -> None:
        self._source = source
        self._script = script

    def arms(self) -> tuple[str, ...]:
        return ("eager",)

    def cell_axes(self) -> dict[str, tuple[Scalar, ...] | None]:
        return {}

    def check_options(self, options: Any) -> dict[str, Any]:
        return dict(options)

    def builtin_source(self) -> Path | None:
        return self._source

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        command = Command(argv=(point.python, "-c", self._script), cwd=point.source)
        return (AssetStep(name="weights", key={"s": self._script}, command=command, title="w"),)

    def command(self, *_: Any) -> Command:
        raise NotImplementedError

    def read(self, *_: Any) -> Any:
        raise NotImplementedError


_WRITES = "import os, foo; open(os.environ['REPROKIT_ASSET_DIR'] + '/w.bin', 'w').write('x')"


def _claim(lock: str | None = None, requirements: tuple[str, ...] = ("torch==2.7.1",)) -> Claim:
    return Claim.model_validate_json(
        f"""{{"schema": "reprokit/claim/v1", "id": "t", "title": "t",
        "source": {{"builtin": "dummy"}},
        "expect": {{"kind": "equivalence", "metric": "latency_ms"}},
        "adapter": {{"name": "dummy", "baseline": "eager", "subject": "eager"}},
        "stack": {{"requirements": {list(requirements)!r}, "lock": {lock!r}}}}}""".replace(
            "'", '"'
        ).replace("None", "null")
    )


def _plan(*triton: str, requirements: tuple[str, ...] = ("torch==2.7.1",)) -> Plan:
    points = tuple(
        StackPoint(
            id=f"triton-{value}", axes={"triton": value}, commit=None, python=None,
            requirements=(*requirements, f"triton=={value}"), overrides=(f"triton=={value}",),
        )
        for value in triton
    )  # fmt: skip
    return Plan(
        claim_id="t", claim_digest="0" * 64, design="full", seed=1,
        axes={"triton": tuple(triton)}, base={"triton": "3.3.1"}, points=points,
        cells=(Cell(id="all", axes={}),),
        setup=Setup(model=None, arms={Arm.BASELINE: "eager"}, options={}, device="cpu",
                    samples=1, warmup=0, seed=1),
        timeout_s=1.0, invocations=(),
    )  # fmt: skip


def _prepare(
    plan: Plan,
    claim: Claim,
    cache: CacheLayout,
    folder: Path,
    *,
    script: str = _WRITES,
    **more: Any,
) -> dict[str, PreparedPoint]:
    prepared = prepare_points(
        plan, claim, claim_dir=folder, cache=cache, adapter=_Adapter(folder, script),
        options=PrepareOptions(**more),
    )  # fmt: skip
    return {point.ready.point: point for point in prepared}


def test_points_are_prepared_and_one_failure_stops_no_other(
    cache: CacheLayout, tmp_path: Path
) -> None:
    points = _prepare(_plan("3.6.0", "3.3.1", "9.9"), _claim(), cache, tmp_path)
    good, forced, bad = (points[f"triton-{value}"] for value in ("3.3.1", "3.6.0", "9.9"))
    assert good.ready.failed is None
    assert good.ready.declared
    assert good.ready.probe is not None
    assert good.ready.probe.version("triton") == "3.3.1"
    assert good.lock_text is not None
    assert parse_lock(good.lock_text).sha256() == good.ready.lock_sha256
    assert forced.ready.failed is None
    assert not forced.ready.declared
    assert "Because" in (forced.ready.resolver_says or "")
    assert bad.ready.failed == "resolve_failed"
    assert "triton==9.9" in (bad.ready.failed_detail or "")
    assets = {Path(point.ready.assets["weights"]) for point in (good, forced)}
    assert len(assets) == 1
    assert (assets.pop() / "w.bin").read_text() == "x"


def test_only_what_the_axis_changes_is_different(
    cache: CacheLayout, tmp_path: Path, wheels: Path
) -> None:
    base = resolved(cache, "torch==2.7.1", prefer=resolved(cache, "foo==1.0"))
    (tmp_path / "t.lock").write_text(base.text())
    points = _prepare(_plan("3.3.1", "3.6.0"), _claim("t.lock"), cache, tmp_path)
    assert points["triton-3.3.1"].lock_text == base.text()
    other = parse_lock(points["triton-3.6.0"].lock_text or "")
    assert (other.version("foo"), other.version("triton")) == ("1.0", "3.6.0")
    anew = _prepare(_plan("3.3.1"), _claim("t.lock"), cache, tmp_path, relock=True)
    assert anew["triton-3.3.1"].ready.relocked
    assert parse_lock(anew["triton-3.3.1"].lock_text or "").version("foo") == "2.0"


def test_saved_locks_are_used_to_the_letter(cache: CacheLayout, tmp_path: Path) -> None:
    first = _prepare(_plan("3.6.0"), _claim(), cache, tmp_path)["triton-3.6.0"]
    saved = {"triton-3.6.0": first.lock_text}
    # The run's own folder has no committed lock, and none is needed.
    again = _prepare(_plan("3.6.0"), _claim("gone.lock"), cache, tmp_path, saved_locks=saved)
    assert again["triton-3.6.0"].lock_text == first.lock_text
    assert not again["triton-3.6.0"].ready.declared
    assert "triton==3.3.1" in (again["triton-3.6.0"].ready.resolver_says or "")


def test_a_bad_committed_lock_is_the_claims_error(cache: CacheLayout, tmp_path: Path) -> None:
    (tmp_path / "t.lock").write_text("foo==1.0\n--index-url http://x\n")
    with pytest.raises(ClaimError, match=r"t\.lock:1: foo has no --hash"):
        _prepare(_plan("3.3.1"), _claim("t.lock"), cache, tmp_path)
    with pytest.raises(ClaimError, match="cannot be read"):
        _prepare(_plan("3.3.1"), _claim("none.lock"), cache, tmp_path)


def test_a_committed_lock_that_misses_a_requirement_fails_its_point(
    cache: CacheLayout, tmp_path: Path
) -> None:
    (tmp_path / "t.lock").write_text(resolved(cache, "torch==2.7.1").text())
    plan = _plan("3.3.1", requirements=("torch==2.7.1", "needs-bar"))
    point = _prepare(plan, _claim("t.lock"), cache, tmp_path)["triton-3.3.1"]
    assert point.ready.failed == "resolve_failed"
    assert "needs-bar" in (point.ready.failed_detail or "")


def test_a_tampered_environment_fails_its_point(cache: CacheLayout, tmp_path: Path) -> None:
    first = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path)["triton-3.3.1"].ready
    site = next(Path(first.python or "").parents[1].glob("lib/*/site-packages"))
    with (site / "torch" / "version.py").open("a") as file:
        file.write("# altered\n")
    again = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path)["triton-3.3.1"].ready
    assert again.failed == "altered"
    assert "torch/version.py" in (again.failed_detail or "")


def test_a_failing_asset_fails_its_point_with_the_last_line_and_the_log(
    cache: CacheLayout, tmp_path: Path
) -> None:
    script = "raise ValueError('no tokenizer here')"
    point = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path, script=script)["triton-3.3.1"]
    detail = point.ready.failed_detail or ""
    assert point.ready.failed == "asset_failed"
    assert "ValueError: no tokenizer here" in detail
    log = Path(detail.rpartition("Log: ")[2])
    assert "Traceback" in log.read_text()
    assert point.ready.probe is not None


def test_an_asset_that_leaves_nothing_fails(cache: CacheLayout, tmp_path: Path) -> None:
    point = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path, script="pass")["triton-3.3.1"]
    assert "left no file" in (point.ready.failed_detail or "")


def test_a_cut_asset_is_built_again(cache: CacheLayout, tmp_path: Path) -> None:
    first = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path)["triton-3.3.1"].ready
    file = Path(first.assets["weights"]) / "w.bin"
    file.write_text("")
    _prepare(_plan("3.3.1"), _claim(), cache, tmp_path)
    assert file.read_text() == "x"


def test_assets_see_no_tokens(
    cache: CacheLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    script = "import os; assert 'HF_TOKEN' not in os.environ; " + _WRITES
    point = _prepare(_plan("3.3.1"), _claim(), cache, tmp_path, script=script)["triton-3.3.1"]
    assert point.ready.failed is None


def test_every_point_is_reported_once(cache: CacheLayout, tmp_path: Path) -> None:
    events: list[Event] = []
    prepare_points(
        _plan("3.3.1", "9.9"), _claim(), claim_dir=tmp_path, cache=cache,
        adapter=_Adapter(tmp_path, _WRITES), observer=events.append,
    )  # fmt: skip
    ended = {event.subject: event.outcome for event in events if event.outcome}
    assert ended == {"triton-3.3.1": "ok", "triton-9.9": "resolve_failed"}
    assert [event.done for event in events if event.outcome] == [1, 2]


def test_no_uv_at_all_is_an_error_for_the_whole_stage(
    cache: CacheLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uv

    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(uv, "find_uv_bin", nowhere)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReprokitError, match="uv, which builds the environments"):
        _prepare(_plan("3.3.1"), _claim(), cache, tmp_path)


def test_a_source_that_cannot_be_had_fails_its_points_only(
    cache: CacheLayout, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, text=True, capture_output=True
    )
    sha, missing = asked.stdout.strip(), "1" * 40
    base = _plan("3.3.1")
    points = tuple(
        base.points[0].model_copy(update={"id": name, "axes": {"sha": name}, "commit": commit})
        for name, commit in (("good", sha), ("bad", missing))
    )
    plan = base.model_copy(update={"points": points, "base": {"sha": "good"}})
    document = _claim().model_dump(mode="json", by_alias=True)
    document["source"] = {"repo": str(repository), "commit": sha}
    claim = Claim.model_validate_json(json.dumps(document))
    prepared = _prepare(plan, claim, cache, tmp_path, allow_local=True)
    good, bad = prepared["good"].ready, prepared["bad"].ready
    assert (good.failed, good.commit) == (None, sha)
    assert good.tree
    assert Path(good.source or "").is_dir()
    assert bad.failed == "checkout_failed"
    assert missing in (bad.failed_detail or "")
    assert bad.environment is None
