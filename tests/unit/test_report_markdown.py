"""report.md: complete, honest, and unmoved by what a log says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt
from scored_case import FAILURE, Case, Slot, broken, steady

from reprokit.errors import DamagedRunError
from reprokit.records import Arm, Cause, Failure, Frame, Row, RowStatus, Scalar
from reprokit.report.markdown import render_markdown
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.score import score

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
VALUE = {
    "kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s", "statistic": "median",
    "bands": {"strong_match": ">= 90"},
}  # fmt: skip
SOURCE = {
    "repo": "https://example.org/bench/repo",
    "commit": "d" * 40,
    "document": "README.md",
    "section": "Benchmarks",
    "row": {"Technique": "Base"},
    "column": "Tokens/Second",
    "printed": "104.9",
}
PINNED_DIES = broken(
    lambda slot: slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT,
    RowStatus.CRASH,
    steady(10, 5.5),
)


def _report(case: Case, rows: list[Row] | None = None) -> str:
    rows = case.rows if rows is None else rows
    verdict = score(case.claim, case.plan, case.ready_points, rows)
    return render_markdown(verdict, case.claim, case.plan, case.ready_points, rows)


def test_the_whole_story_of_a_dependence() -> None:
    report = _report(Case(GAIN, PINNED_DIES))
    for expected in (
        "**Verdict: depends on the stack.** The outcome depends on sha",
        "| `pinned` | nothing survived | - | 5 of 5 | 0 of 5 (at most 45 %) | yes |",
        "`sha` **changes whether the claim holds**",
        "`pinned`: nothing survived; `head`: reproduced",
        "**compiled**, 5 invocations (15 iterations) crashed",
        "log `invocations/x/stderr.log`",
        "fingerprint: `ffffffffffffffff`",
        "reprokit verify RUN/claim/claim.yaml --sweep sha=pinned,head --device cpu --seed 42",
        "45 of 60 planned rows ok",
        "## What this does not tell",
    ):
        assert expected in report


@pytest.mark.parametrize(
    ("axes", "noun"), [({"sha": ("pinned", "head")}, "stack point"), ({"phase": (1, 2)}, "point")]
)
def test_only_points_of_the_stack_are_stack_points(
    axes: dict[str, tuple[Scalar, ...]], noun: str
) -> None:
    cells: list[dict[str, Scalar]] = [{"phase": phase} for phase in axes.get("phase", ())]
    report = _report(Case(GAIN, steady(10, 5.5), axes=axes, cells=cells or [{}]))
    assert f"## {noun.capitalize()}s (2)" in report
    asked = report.split("## Asked and measured")[1]
    assert f"\n| {noun} | gpu |" in asked
    assert f"\n| {noun} | cell | arm" in asked


def test_the_files_are_checked_before_the_report_rewrites_their_list() -> None:
    report = _report(Case(GAIN, PINNED_DIES))
    assert report.index("sha256sum -c") < report.index("reprokit score RUN")
    assert report.index("reprokit score RUN") < report.index("reprokit report RUN")


def test_an_axis_that_changes_only_how_it_fails_is_told_so() -> None:
    behaviour = broken(
        lambda slot: slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT,
        RowStatus.CRASH,
        steady(10, 9.5),
    )
    report = _report(Case(GAIN, behaviour))
    assert "**Verdict: nothing survived.** The claim is reproduced at neither" in report
    assert "- `sha` changes only how it fails" in report


@pytest.mark.parametrize(
    ("locked", "lock", "host"),
    [((True, True), True, False), ((False, False), False, True), ((True, False), True, True)],
)
def test_only_what_has_a_lock_is_said_to_be_checked_against_its_records(
    locked: tuple[bool, bool], lock: bool, host: bool
) -> None:
    names = ("sha-pinned", "sha-head")
    facts = {name: {"locked": each} for name, each in zip(names, locked, strict=True)}
    report = _report(Case(GAIN, steady(10, 5.5), ready=facts))
    assert ("are checked file by file against" in report) is lock
    assert ("what has none is listed as not verified" in report) is host


def test_what_was_measured_on_an_existing_interpreter_is_done_again_there() -> None:
    case = Case(GAIN, steady(10, 5.5))
    plan = case.plan.model_copy(update={"host": "/some where/python3"})
    verdict = score(case.claim, plan, case.ready_points, case.rows)
    report = render_markdown(verdict, case.claim, plan, case.ready_points, case.rows)
    assert " --stack 'host:/some where/python3'" in report
    assert "On a machine with such an interpreter" in report
    assert "--stack" not in _report(case)


def test_a_version_that_was_not_asked_for_is_labelled() -> None:
    facts = {"sha-head": {"locked": False, "unmet": ("torch==2.7.1 is asked for ...",)}}
    verdict = Case(GAIN, steady(10, 5.5), ready=facts).score()
    assert ["other_versions" in point.labels for point in verdict.points] == [False, True]


def test_no_tables_of_nothing() -> None:
    everything_dies = broken(lambda slot: True, RowStatus.CRASH, steady(10, 5.5))
    report = _report(Case(GAIN, everything_dies))
    assert "none (no data)" not in report
    assert "## Invocations" not in report
    assert "No figures of pinned: no iteration was ok." in report
    one_dies = broken(lambda slot: slot.axes["sha"] == "pinned", RowStatus.CRASH, steady(10, 5.5))
    report = _report(Case(GAIN, one_dies))
    assert "none (no data)" not in report
    assert "Figures of head" in report
    assert "No iteration was ok at pinned." in report


def test_only_a_quoted_figure_is_called_printed() -> None:
    assert "printed figure" not in _report(Case(GAIN, steady(10, 5.5)))


@pytest.mark.parametrize(
    ("options", "told"),
    [({"cache": "StaticCache"}, "StaticCache (as asked)"), ({}, "not stated")],
)
def test_the_cache_is_what_was_asked_where_no_benchmark_tells_it(
    options: dict[str, Any], told: str
) -> None:
    case = Case(GAIN, steady(10, 5.5), axes={})
    setup = case.plan.setup.model_copy(update={"options": options})
    plan = case.plan.model_copy(update={"setup": setup})
    verdict = score(case.claim, plan, case.ready_points, case.rows)
    report = render_markdown(verdict, case.claim, plan, case.ready_points, case.rows)
    section = report.split("## Asked and measured")[1].split("##")[0]
    assert f"| {told} |" in section


def test_an_interval_of_two_noisy_invocations_can_be_read() -> None:
    def noisy(slot: Slot) -> float:
        return (1.0, 3000.0)[slot.invocation] * (1 if slot.arm is Arm.SUBJECT else 20)

    case = Case(GAIN, noisy, axes={}, invocations=2, samples=1)
    verdict = case.score()
    gain = verdict.points[0].estimate("gain")
    assert gain is not None
    assert gain.low is not None
    assert gain.low < -1e6
    assert "[< -1000, 100.0]" in verdict.sentence
    report = _report(case)
    assert "&lt; -1000" in report
    shown = report.split("rows `")[0].split("## Do it again")[0]
    assert not re.search(r"(?<![\w.`])\d{7,}(?![\w`])", shown)


def test_provenance_margin_and_band() -> None:
    case = Case(VALUE, steady(10, 105), axes={}, claim_extra={"source": SOURCE})
    report = _report(case)
    for expected in (
        "<https://example.org/bench/repo> at `" + "d" * 40,
        "| section | Benchmarks |",
        "| row | Technique: Base |",
        "| printed figure | `104.9` |",
        "The effective margin is a factor of 1.03, the claim's own.",
        "`strong_match`",
        "pooled median tokps",
        "decides nothing",
    ):
        assert expected in report


def test_a_margin_that_rounding_widened_is_told() -> None:
    source = {**SOURCE, "printed": "1.2"}
    expect = {"kind": "value", "metric": "latency_ms", "value": 1.2, "unit": "ms"}
    report = _report(Case(expect, steady(2, 1.2), axes={}, claim_extra={"source": source}))
    assert "the printed figure's digits carry no finer one (the claim asks for 1.03)" in report


def test_equal_failures_are_told_once_with_every_place() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3.1", "3.6.0")}
    report = _report(Case(GAIN, PINNED_DIES, axes=axes))
    assert report.count("fingerprint:") == 1
    assert "at pinned, triton 3.3.1: 5 invocations" in report
    assert "at pinned, triton 3.6.0: 5 invocations" in report


def test_undeclared_relocked_and_notes_are_never_hidden() -> None:
    ready: dict[str, dict[str, Any]] = {
        "sha-head": {
            "declared": False,
            "resolver_says": "torch 2.7.1 depends on triton==3.3.1",
            "relocked": True,
            "notes": ("the index does not hold the CUDA build",),
        }
    }
    report = _report(Case(GAIN, steady(10, 5.5), ready=ready))
    for expected in (
        "| **no** |",
        "Resolver: torch 2.7.1 depends on triton==3.3.1",
        "the committed lock was put aside",
        "the index does not hold the CUDA build",
        "> Measured on another stack than the claim's lock",
    ):
        assert expected in report


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("MY_TOKEN", "PYTHONPATH"), "passed on to the benchmark: `MY_TOKEN`, `PYTHONPATH`\n"),
        (tuple(f"TORCH_{n:03d}" for n in range(60)), "`TORCH_049` and 10 more\n"),
        ((), None),
    ],
)
def test_variables_kept_from_the_benchmark_are_named(
    names: tuple[str, ...], told: str | None
) -> None:
    case = Case(GAIN, steady(10, 5.5))
    verdict = score(case.claim, case.plan, case.ready_points, case.rows, removed_variables=names)
    assert json.loads(verdict.to_json())["removed_variables"] == list(names)
    report = render_markdown(verdict, case.claim, case.plan, case.ready_points, case.rows)
    section = report.split("## Environments")[1].split("\n## ")[0]
    assert (told or "") in section
    assert ("not passed on to the benchmark" in report) == (told is not None)


def test_the_name_of_a_variable_stays_text() -> None:
    case = Case(GAIN, steady(10, 5.5))
    verdict = case.score().model_copy(update={"removed_variables": ("PIP_`<b>|\n# x",)})
    report = render_markdown(verdict, case.claim, case.plan, case.ready_points, case.rows)
    assert "<b>" not in _html(report)
    assert "<h1>x" not in _html(report)


def test_labels_are_explained_in_words() -> None:
    report = _report(Case(GAIN, steady(10, 5.5), labels=("synthetic_weights", "odd_label")))
    assert "`synthetic_weights`: The weights are random." in report
    assert "`odd_label`: A label of the adapter." in report
    assert "> Measured with random weights" in report


def test_an_altered_claim_is_told_at_the_top() -> None:
    case = Case(GAIN, steady(10, 5.5))
    plan = case.plan.model_copy(
        update={"altered": ("protocol.samples=3",), "claim_digest": "0" * 64}
    )
    verdict = score(case.claim, plan, case.ready_points, case.rows)
    report = render_markdown(verdict, case.claim, plan, case.ready_points, case.rows)
    top = report.split("##")[0]
    assert "altered for this run: protocol.samples=3" in top
    assert "edited after the run was planned" in top
    assert "--set protocol.samples=3" in report


def test_a_verdict_of_other_rows_is_refused() -> None:
    case = Case(GAIN, steady(10, 5.5))
    verdict = case.score()
    other = Case(GAIN, steady(10, 5.6)).rows
    with pytest.raises(DamagedRunError, match="not drawn from these rows"):
        render_markdown(verdict, case.claim, case.plan, case.ready_points, other)


EVIL = (
    "boom |</td></table></details><img src=x onerror=alert(1)>\n\n# Verdict: reproduced\n"
    "```\n| a | b |\n\x1b[2J\u202e @everyone [x](javascript:1) `tick`"
)


def test_a_hostile_log_stays_text() -> None:
    evil = Failure(
        exception="Evil|Error`",
        message=EVIL,
        frame=Frame(file="a|b`\n.py", line=1, function="<module>\n# f"),
        causes=(Cause(exception="Cause", message=EVIL),),
        fingerprint="e" * 16,
        log="logs/`|\n# x",
    )
    case = Case(GAIN, PINNED_DIES)
    rows = [row.model_copy(update={"failure": evil}) if row.failure else row for row in case.rows]
    report = _report(case, rows)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", report)
    assert _tags(report) == _tags(_report(case))
    assert "<img" not in _html(report)
    assert "javascript:1)" in report
    assert "href" not in _html(report).replace('href="https://example.org/r"', "")


def _html(report: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(report))


def _tags(report: str) -> dict[str, int]:
    """Count every tag but the ones that a longer failure record may add."""
    tags = re.findall(r"<(\w+)", _html(report))
    return {tag: tags.count(tag) for tag in set(tags) - {"li", "code"}}


def test_a_hostile_claim_stays_text() -> None:
    source = {
        **SOURCE,
        "repo": "https://example.org/a b)](x",
        "section": "# S | <b>",
        "row": {"|": EVIL},
    }
    extra = {"source": source, "title": "# T <script> | @you"}
    report = _report(Case(VALUE, steady(10, 105), axes={}, claim_extra=extra))
    assert report.startswith("# &#8203;# T &lt;script&gt; \\| @&#8203;you\n")
    assert "<script>" not in report
    assert "<https://example.org/a" not in report


def test_commands_quote_what_a_shell_would_read() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("head", "a; rm -rf ~")}
    report = _report(Case(GAIN, steady(10, 5.5), axes=axes))
    assert "--sweep 'sha=head,a; rm -rf ~'" in report


def test_lengths_are_bounded_whatever_the_log() -> None:
    evil = FAILURE.model_copy(update={"message": "x" * 1_000_000})
    case = Case(GAIN, PINNED_DIES)
    rows = [row.model_copy(update={"failure": evil}) if row.failure else row for row in case.rows]
    assert len(_report(case, rows)) < len(_report(case)) + 5_000


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda slot: RowStatus.CRASH,
        lambda slot: RowStatus.ENVIRONMENT_FAILED,
        lambda slot: RowStatus.NOT_RUN,
        lambda slot: 5.0,
        steady(10, 6.02),
    ],
)
@pytest.mark.parametrize(
    "expect",
    [
        GAIN,
        VALUE,
        {"kind": "equivalence", "metric": "latency_ms"},
        {"kind": "stability", "at_most": 0.5},
        {"kind": "flip", "axis": "sha", "of": GAIN},
    ],
)
def test_every_kind_and_outcome_can_be_written(expect: dict[str, Any], behaviour: Any) -> None:
    case = Case(expect, behaviour, regime={"device": "cpu", "batch": 1, "prompt": "Hello"})
    report = _report(case)
    assert report.startswith("# A case\n\n**Verdict: ")
    assert case.score().outcome is not Outcome.REPRODUCED
    for line in report.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    blocks = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)
    for block in blocks:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1
