"""Rows from files alone: one per planned iteration, and `ok` only with proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved_run import BASELINE, SUBJECT, Saved, ended, line
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.adapter import Reading, Sample, load_adapter
from reprokit.errors import DamagedRunError, RunError
from reprokit.failure.traceback import LONGEST_MESSAGE
from reprokit.records import Arm, Cause, Evidence, Failure, FailureKind, Frame, Row, RowStatus
from reprokit.rows import read_rows, write_rows
from reprokit.run.failing import Failures


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    plan = scripted_plan()
    return Saved(new_run(plan, tmp_path), ready_points(plan))


def both(saved: Saved, lines: list[str], **exit_: Any) -> list[Row]:
    """Save a sound baseline and this subject; return the subject's rows."""
    saved.save(BASELINE, [line(0, compile="not_asked"), line(1, compile="not_asked")], ended())
    saved.save(SUBJECT, lines, ended(**exit_))
    return saved.of(SUBJECT)


def test_sound_samples_are_ok_and_keep_everything(saved: Saved) -> None:
    first, second = both(saved, [line(0), line(1, latency_ms=2.5)])
    assert (first.status, first.reason, first.labels) == (RowStatus.OK, None, ())
    assert (first.arm, first.point, first.cell) == (Arm.SUBJECT, "p1", "all")
    assert second.values["latency_ms"] == 2.5
    assert second.evidence.output_tokens == (1, 2, 3)


def test_rows_are_those_of_the_plan_in_its_order(saved: Saved) -> None:
    assert tuple(row.id for row in saved.rows()) == saved.run.plan.row_ids()
    assert {row.status for row in saved.rows()} == {RowStatus.NOT_RUN}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"latency_ms": 0.0}, RowStatus.FALL_THROUGH, "impossible_value"),
        ({"latency_ms": -1.0}, RowStatus.FALL_THROUGH, "impossible_value"),
        ({"latency_ms": float("nan")}, RowStatus.FALL_THROUGH, "impossible_value"),
        ({"tokps": float("inf")}, RowStatus.FALL_THROUGH, "impossible_value"),
        ({"tokens": 7}, RowStatus.FALL_THROUGH, "wrong_tokens"),
        ({"tokens": 0, "tokens_asked": 0}, RowStatus.FALL_THROUGH, "no_tokens"),
        ({"device": "cuda"}, RowStatus.WRONG_OUTPUT, "device_mismatch"),
        ({"compile": "fell_back"}, RowStatus.SILENT_FALLBACK, "compile_fell_back"),
        ({"compile": "partly"}, RowStatus.SILENT_FALLBACK, "compile_partly"),
        ({"compile": "unknown"}, RowStatus.SILENT_FALLBACK, "compile_unknown"),
        ({"compile": None}, RowStatus.SILENT_FALLBACK, "compile_unknown"),
        ({"output_tokens": [1, 2, 4]}, RowStatus.WRONG_OUTPUT, "output_differs"),
        ({"output_tokens": [1, 2]}, RowStatus.WRONG_OUTPUT, "output_differs"),
        ({"output_tokens": None}, RowStatus.FALL_THROUGH, "output_missing"),
        ({"latency_ms": 9_200.0}, RowStatus.CONTAMINATED, "impossible_time"),
    ],
)  # fmt: skip
def test_every_gate_closes(
    saved: Saved, changes: dict[str, Any], status: RowStatus, code: str
) -> None:
    row = both(saved, [line(0, **changes), line(1)])[0]
    assert (row.status, (row.reason or "").partition(":")[0]) == (status, code)
    assert row.values


def test_time_is_impossible_by_rate_alone(saved: Saved) -> None:
    rows = both(saved, [line(0), line(1)], wall_s=0.003)
    assert {row.status for row in rows} == {RowStatus.CONTAMINATED}


def test_the_first_difference_is_named(saved: Saved) -> None:
    row = both(saved, [line(0, output_tokens=[1, 9, 3]), line(1)])[0]
    assert row.reason is not None
    assert row.reason.endswith("at token 1")


def test_a_baseline_that_disagrees_with_itself_allows_either(saved: Saved) -> None:
    other = line(1, compile="not_asked", output_tokens=[7, 7, 7])
    saved.save(BASELINE, [line(0, compile="not_asked"), other], ended())
    saved.save(SUBJECT, [line(0, output_tokens=[7, 7, 7]), line(1, output_tokens=[5])], ended())
    assert [row.status for row in saved.rows() if row.arm is Arm.BASELINE] == [RowStatus.OK] * 2
    assert [row.status for row in saved.of(SUBJECT)] == [RowStatus.OK, RowStatus.WRONG_OUTPUT]


def test_what_was_not_reported_is_labelled(saved: Saved) -> None:
    eager = [line(each, compile="not_asked", output_tokens=None) for each in range(2)]
    saved.save(BASELINE, eager, ended())
    saved.save(SUBJECT, [line(0, device=None, output_tokens=None), line(1)], ended())
    row = saved.of(SUBJECT)[0]
    assert row.status is RowStatus.OK
    assert row.labels == ("device_unreported", "output_unchecked")


def test_without_a_sound_baseline_output_is_unchecked(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    assert {row.labels for row in saved.of(SUBJECT)} == {("output_unchecked",)}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line(0), line(1), line(2)], "too_many_samples"),
        ([line(0), line(0)], "repeated_sample"),
        ([line(0), line(5)], "unknown_sample"),
        ([line(-1)], "unknown_sample"),
    ],
)
def test_samples_that_contradict_the_plan_spoil_all(
    saved: Saved, lines: list[str], code: str
) -> None:
    rows = both(saved, lines)
    assert [row.status for row in rows] == [RowStatus.WRONG_OUTPUT] * 2
    assert {(row.reason or "").partition(":")[0] for row in rows} == {code}


@pytest.mark.parametrize(
    ("exit_", "status", "words"),
    [
        ({}, RowStatus.FALL_THROUGH, "missing_samples: exit 0 with 1 of 2"),
        ({"returncode": 3}, RowStatus.CRASH, "exited with code 3"),
        ({"returncode": None, "signal": "SIGSEGV"}, RowStatus.KILLED, "SIGSEGV"),
        ({"returncode": None, "signal": "SIGKILL"}, RowStatus.KILLED, "not sent by reprokit"),
        ({"returncode": None, "signal": "SIGKILL", "stopped_by": "timeout"},
         RowStatus.TIMEOUT, "no end after 30 s"),
        ({"returncode": 0, "stopped_by": "timeout"}, RowStatus.TIMEOUT, "no end"),
        ({"returncode": None, "signal": "SIGTERM", "stopped_by": "log_limit"},
         RowStatus.KILLED, "log_limit"),
        ({"returncode": None, "stopped_by": "supervisor_died"},
         RowStatus.KILLED, "supervisor_killed"),
        ({"returncode": None, "stopped_by": "supervisor_stalled"},
         RowStatus.KILLED, "supervisor_stopped"),
        ({"returncode": None, "spawn_error": "[Errno 2] No such file"},
         RowStatus.ENVIRONMENT_FAILED, "spawn_failed"),
    ],
)  # fmt: skip
def test_a_missing_sample_bears_how_the_process_ended(
    saved: Saved, exit_: dict[str, Any], status: RowStatus, words: str
) -> None:
    first, second = both(saved, [line(0)], **exit_)
    assert first.status is RowStatus.OK
    assert ("died_later" in first.labels) == (exit_ != {})
    assert second.status is status
    assert words in (second.reason or "")
    assert (second.failure is not None) == (exit_ != {})


def test_a_process_that_died_after_its_last_sample_is_no_ground(saved: Saved) -> None:
    rows = both(saved, [line(0), line(1)], returncode=7)
    assert {(row.status, row.reason) for row in rows} == {
        (RowStatus.CRASH, "exited with code 7 after its last sample")
    }
    assert all(row.values for row in rows)


@pytest.mark.parametrize(
    ("returncode", "status"), [(1, RowStatus.OOM), (0, RowStatus.FALL_THROUGH)]
)
def test_memory_is_the_reason_only_for_a_process_that_failed(
    saved: Saved, returncode: int, status: RowStatus
) -> None:
    stderr = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nMemoryError\n'
    saved.save(SUBJECT, [], ended(returncode=returncode), stderr=stderr)
    row = saved.of(SUBJECT)[0]
    assert row.status is status
    assert row.failure is not None
    assert (row.failure.exception, row.failure.kind) == ("MemoryError", "oom")
    assert row.failure.log == f"invocations/{SUBJECT}/stderr.log"


def test_chatter_of_a_process_that_ended_well_is_no_failure(saved: Saved) -> None:
    saved.save(SUBJECT, [], ended(), stderr="UserWarning: slow\n")
    assert saved.of(SUBJECT)[0].failure is None


def test_half_a_line_says_where(saved: Saved) -> None:
    rows = both(saved, [line(0), line(1)[:30]])
    assert [row.status for row in rows] == [RowStatus.OK, RowStatus.FALL_THROUGH]
    assert "stdout.log:2" in (rows[1].reason or "")


def test_what_a_commit_cannot_do_is_never_ok(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0)], ended(returncode=1), stderr="x", unsupported="no --device")
    rows = saved.of(SUBJECT)
    assert {(row.status, row.reason) for row in rows} == {(RowStatus.UNSUPPORTED, "no --device")}
    assert rows[1].failure is not None


def test_a_failed_point_is_environment_failed(saved: Saved) -> None:
    failed = saved.ready["p1"].model_copy(
        update={"failed": "install_failed", "failed_detail": "no wheel for triton"}
    )
    rows = replace(saved, ready={"p1": failed}).rows()
    assert {(row.status, row.reason) for row in rows} == {
        (RowStatus.ENVIRONMENT_FAILED, "install_failed")
    }
    assert rows[0].failure is not None
    assert rows[0].failure.message == "no wheel for triton"


def test_a_point_that_was_never_prepared_is_not_run(saved: Saved) -> None:
    rows = replace(saved, ready={}).rows()
    assert {row.status for row in rows} == {RowStatus.NOT_RUN}


def test_an_interrupted_invocation_is_not_run(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)])
    assert {row.status for row in saved.of(SUBJECT)} == {RowStatus.NOT_RUN}
    assert "interrupted" in (saved.of(SUBJECT)[0].reason or "")


def test_a_structured_failure_gets_a_fingerprint(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Failure(
        exception="KeyError", message="'a'", frame=Frame(file="h.py", line=1, function="f"),
        fingerprint="",
    )  # fmt: skip
    adapter = load_adapter("scripted")
    reading = Reading(samples=(), failure=written, labels=("synthetic_weights",))
    monkeypatch.setattr(type(adapter), "read", lambda *_: reading)
    saved.save(SUBJECT, [], ended(returncode=1))
    row = saved.of(SUBJECT)[0]
    assert row.failure is not None
    assert len(row.failure.fingerprint) == 12
    assert row.failure.kind == "other"
    assert row.labels == ("synthetic_weights",)


def test_another_plan_s_invocation_is_refused(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended(), identity="0" * 64)
    with pytest.raises(DamagedRunError, match="another plan, setup or environment"):
        saved.rows()


def test_another_lock_is_refused(saved: Saved) -> None:
    both(saved, [line(0), line(1)])
    relocked = saved.ready["p1"].model_copy(update={"lock_sha256": "1" * 64})
    with pytest.raises(DamagedRunError, match="another plan, setup or environment"):
        replace(saved, ready={"p1": relocked}).rows()


def test_strangers_and_damage_are_refused(saved: Saved) -> None:
    saved.save(SUBJECT, [], ended())
    folder = saved.run.invocation(SUBJECT)
    folder.with_name(f"{SUBJECT}.interrupted-1").mkdir()
    assert saved.rows()
    (folder / "exit.json").write_text("{")
    with pytest.raises(DamagedRunError, match=r"exit\.json"):
        saved.rows()


def test_rows_are_written_and_read_back(saved: Saved) -> None:
    rows = both(saved, [line(0, latency_ms=float("inf")), line(1, latency_ms=1 / 3)])
    write_rows(saved.run, rows)
    assert list(read_rows(saved.run.rows)) == rows


def test_a_damaged_line_is_named(saved: Saved, tmp_path: Path) -> None:
    write_rows(saved.run, saved.rows())
    text = saved.run.rows.read_text()
    saved.run.rows.write_text(text[: len(text) - 20])
    with pytest.raises(DamagedRunError, match=r"rows\.jsonl:4"):
        list(read_rows(saved.run.rows))
    with pytest.raises(RunError, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_evidence_of_a_sample_overrides_that_of_its_invocation(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_adapter("scripted")
    read = type(adapter).read

    def with_common(self: Any, *given: Any) -> Reading:
        common = Evidence(device="cuda", extra={"torch": "2.7.1"})
        return read(self, *given).model_copy(update={"evidence": common})

    monkeypatch.setattr(type(adapter), "read", with_common)
    first, second = both(saved, [line(0), line(1, device=None)])
    assert (first.status, first.evidence.device) == (RowStatus.OK, "cpu")
    assert first.evidence.extra == {"torch": "2.7.1"}
    assert second.status is RowStatus.WRONG_OUTPUT


def test_a_message_of_any_length_is_cut_before_it_is_stored_or_read(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "Command '[" * 100_000
    causes = tuple(Cause(exception="E", message=words) for _ in range(200))
    written = Failure(exception="E", message=words, causes=causes, frame=None, fingerprint="")
    sample = Sample(iteration=0, values={}, status=RowStatus.CRASH, failure=written)
    reading = Reading(samples=(sample,), failure=written)
    monkeypatch.setattr(type(load_adapter("scripted")), "read", lambda *_: reading)
    saved.save(SUBJECT, [], ended(returncode=1))
    for row in saved.of(SUBJECT):
        assert row.failure is not None
        assert row.failure.message.endswith(f"\n[{len(words) - LONGEST_MESSAGE} more characters]")
        assert len(row.model_dump_json()) < 60 * (LONGEST_MESSAGE + 100)


def test_a_failure_that_rows_share_is_named_once(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def name(failure: Failure, status: RowStatus | None = None) -> FailureKind:
        asked.append(failure.message)
        return FailureKind.OTHER

    monkeypatch.setattr("reprokit.run.ended.classify", name)
    log = 'Traceback (most recent call last):\n  File "b.py", line 1\nValueError: named once\n'
    saved.save(SUBJECT, [], ended(returncode=1), stderr=log)
    assert [row.failure and row.failure.kind for row in saved.of(SUBJECT)] == ["other"] * 2
    assert asked == ["named once"]


@pytest.mark.parametrize(
    ("ends", "words", "stopped"),
    [
        ({"stopped_by": "timeout", "returncode": None}, ("loading", "timing it"), True),
        ({"returncode": 1}, ("ValueError: no", "ValueError: no"), True),
        ({"returncode": 1}, ("ValueError: no", "KeyError: no"), False),
        ({"returncode": 0}, ("ValueError: no", "ValueError: no"), False),
    ],
    ids=["timeouts", "alike", "different", "no failure"],
)
def test_only_equal_failures_are_enough(
    tmp_path: Path, ends: dict[str, Any], words: tuple[str, str], stopped: bool
) -> None:
    """A time limit is one whatever was said last before it; what ended well is no failure."""
    plan = scripted_plan(invocations=4, same_failure_stops=2)
    saved = Saved(new_run(plan, tmp_path), ready_points(plan))
    failures = Failures(plan, load_adapter("scripted"), saved.run)
    subjects = [each for each in plan.invocations if each.arm is Arm.SUBJECT]
    for planned, said in zip(subjects, words, strict=False):
        assert failures.enough(planned) is None
        saved.save(planned.id, [], ended(**ends), stderr=f"{said}\n")
        failures.remember(planned, saved.ready["p1"], ended(**ends))
    told = failures.enough(subjects[2])
    assert (told is not None) is stopped
    assert told is None or told.startswith("stopped_early: 2 of 4 invocations were made")
    others = [each for each in plan.invocations if each.arm is Arm.BASELINE]
    assert failures.enough(others[0]) is None


def test_what_the_benchmark_refused_is_no_crash_of_what_it_measures(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_adapter("scripted")
    read = type(adapter).read

    def refused(*given: Any) -> Reading:
        return read(*given).model_copy(update={"unsupported": "it has 8 positions"})

    monkeypatch.setattr(type(adapter), "read", refused)
    saved.save(SUBJECT, [line(0)], ended(returncode=1), stderr="x")
    rows = saved.of(SUBJECT)
    found = {(row.status, row.reason) for row in rows}
    assert found == {(RowStatus.UNSUPPORTED, "it has 8 positions")}
    assert rows[1].failure is not None
