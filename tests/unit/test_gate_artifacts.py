"""Gate 3 while a run is scored: rows that must be there, printed numbers that are read back."""

from __future__ import annotations

import json
import lzma
import re
from functools import cache
from pathlib import Path

import pytest
from gated_run import GAIN, judged, sound_case
from hypothesis import assume, given
from hypothesis import strategies as st
from scored_case import Case, Slot, broken, steady

from reprokit.gates.compare import differences, leaves
from reprokit.gates.lines import differing_lines
from reprokit.gates.printed import agrees, compare_printed, printed_rows
from reprokit.records import Arm, RowStatus
from reprokit.report.markdown import render_figures, render_markdown
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import decimals, number

RESULTS = sorted(
    path.parent for path in Path(__file__).parents[2].glob("docs/results/*/verdict.json.xz")
)
STRATA = tuple({"token_len": length, "cache": "StaticCache"} for length in (8, 32))
DIES_AT_32 = broken(
    lambda slot: slot.arm is Arm.SUBJECT and slot.cell.get("token_len") == 32,
    RowStatus.CRASH,
    steady(10, 5.5),
)
CASES = {
    "phases": sound_case(),
    "strata": sound_case(axes={}, cells=STRATA),
    "failures": sound_case(axes={"token_len": (8, 32)}, cells=STRATA, behaviour=DIES_AT_32),
    "two noisy": Case(GAIN, lambda slot: (1.0, 3000.0)[slot.invocation], axes={}, invocations=2),
    "one stratum dies": sound_case(axes={}, cells=STRATA, behaviour=DIES_AT_32),
    "first stratum dies": sound_case(axes={}, cells=STRATA[::-1], behaviour=DIES_AT_32),
    "rates": sound_case(expect={"kind": "stability", "at_most": 0.5}, behaviour=DIES_AT_32),
    "stack": Case(GAIN, steady(10, 5.5)),
}


@cache
def scored(name: str) -> tuple[Verdict, str]:
    """Return a case's verdict and its whole report."""
    case = CASES[name]
    verdict = case.score()
    return verdict, render_markdown(verdict, case.claim, case.plan, case.ready_points, case.rows)


def artifacts(case: Case, **changes: object) -> GateVerdict:
    return judged(case, **changes)["artifact_evidence"]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CASES)
def test_a_report_is_read_back_as_the_verdict_it_was_written_from(name: str) -> None:
    verdict, report = scored(name)
    compared, wrong = compare_printed(report, verdict)
    assert wrong == ()
    assert compared > 20
    assert compare_printed(render_figures(verdict), verdict) == (compared, ())


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: path.name)
def test_the_results_that_are_kept_here_print_what_their_verdicts_say(folder: Path) -> None:
    verdict = Verdict.model_validate_json(
        lzma.decompress((folder / "verdict.json.xz").read_bytes())
    )
    compared, wrong = compare_printed((folder / "report.md").read_text(encoding="utf-8"), verdict)
    assert wrong == ()
    assert compared > 30 * len(verdict.points)


@given(st.sampled_from(sorted(CASES)), st.data())
def test_any_digit_of_any_estimate_that_is_changed_is_found(name: str, data: st.DataObject) -> None:
    verdict, report = scored(name)
    lines = report.splitlines()
    row = data.draw(st.sampled_from(printed_rows(report)))
    cells = re.split(r"(?<!\\)\|", lines[row.line - 1])
    column = data.draw(st.sampled_from([2, 3]))
    places = [found.start() for found in re.finditer(r"\d", cells[column])]
    assume(places)
    at = data.draw(st.sampled_from(places))
    # "> 1000" is a bound that is beyond any use, and not one that was measured.
    assume(not re.search(r"(&gt;|&lt;) -?\d*$", cells[column][:at]))
    digit = data.draw(st.sampled_from("0123456789"))
    assume(digit != cells[column][at])
    cells[column] = f"{cells[column][:at]}{digit}{cells[column][at + 1 :]}"
    lines[row.line - 1] = "|".join(cells)
    _, wrong = compare_printed("\n".join(lines), verdict)
    assert any(says.startswith(f"report.md:{row.line}: {row.name}") for says in wrong)


@given(
    st.floats(min_value=-1e12, max_value=1e12),
    st.one_of(st.none(), st.integers(min_value=0, max_value=6)),
)
def test_a_number_agrees_with_what_is_printed_of_it_and_with_no_neighbour(
    value: float, digits: int | None
) -> None:
    printed = decimals(value, digits)
    assert agrees(printed, value)
    if "e" not in printed:
        step = 10.0 ** -len(printed.partition(".")[2])
        for other in (value + 2 * step, value - 2 * step):
            assert not agrees(printed, other)


@pytest.mark.parametrize(
    ("printed", "value", "same"),
    [
        ("104.9", 104.9499, True),
        ("104.9", 104.951, False),
        ("1.000", 0.99951, True),
        ("0.000", 0.0004, True),
        ("0.000", 0.0006, False),
        ("1.2e+07", 1.24e7, True),
        ("1.2e+07", 1.26e7, False),
        ("1.0", float("nan"), False),
        ("nan", float("nan"), False),
        ("inf", float("inf"), True),
        ("-inf", float("inf"), False),
        ("inf", 1e300, False),
        ("1..0", 1.0, False),
    ],
)
def test_half_a_unit_of_the_last_digit_is_what_rounding_leaves(
    printed: str, value: float, same: bool
) -> None:
    assert agrees(printed, value) is same


@pytest.mark.parametrize("far", [1e150, 1e300])
def test_an_interval_without_an_end_is_read_back(far: float) -> None:
    """Two invocations that have nothing in common leave a ratio all but unbounded."""

    def apart(slot: Slot) -> float:
        return (1.0, far)[slot.invocation]

    verdict = Case(GAIN, apart, axes={}, invocations=2).score()
    assert compare_printed(render_figures(verdict), verdict)[1] == ()


def test_numbers_of_all_sizes_are_read_back() -> None:
    for value in (1e-9, 0.00012345, 0.5, 12.345, 99999.4, 123456.7, 3.2e6, 8.1e14):
        assert agrees(number(value), value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("| gain |", "| profit |", "profit of phase prefill: the verdict has no such estimate"),
        ("| gain |", "| overhead |", "overhead of phase prefill: it prints"),
        ("| 5 invocations,", "| 6 invocations,", "it prints n = 6 invocations"),
        ("| 5 invocations,", "| 5 processes,", "it prints n = 5 processes"),
        ("| 44.9", "| about 44.9", "cannot be read"),
        ("| 44.9", "| none (no data) 44.9", "it prints none"),
    ],
)
def test_a_row_that_says_something_else_is_found(old: str, new: str, says: str) -> None:
    verdict, _ = scored("phases")
    report = render_figures(verdict)
    assert old in report
    _, wrong = compare_printed(report.replace(old, new, 1), verdict)
    assert [each for each in wrong if says in each]


def test_an_estimate_that_is_not_printed_is_missed() -> None:
    verdict, report = scored("phases")
    kept = [line for line in report.splitlines() if not line.startswith("| gain |")]
    _, wrong = compare_printed("\n".join(kept), verdict)
    assert [says for says in wrong if "gain of" in says and "is not printed" in says]


def test_figures_of_two_strata_cannot_be_exchanged() -> None:
    def behaviour(slot: Slot) -> float:
        return (2.0 if slot.cell["token_len"] == 32 else 1.0) * float(steady(10, 5.5)(slot))

    case = sound_case(axes={}, cells=STRATA, behaviour=behaviour)
    verdict = case.score()
    report = render_figures(verdict)
    own = [row for row in printed_rows(report) if row.name == "subject latency ms"]
    assert len(own) == 3, "of the point and of both strata"
    exchanged = report.replace(own[1].value.replace("[", "\\[").replace("]", "\\]"), "@")
    exchanged = exchanged.replace(own[2].value.replace("[", "\\[").replace("]", "\\]"), "#")
    assert exchanged.count("@") == 1
    for mark, row in (("@", own[2]), ("#", own[1])):
        exchanged = exchanged.replace(mark, row.value)
    assert compare_printed(report, verdict)[1] == ()
    assert len(compare_printed(exchanged, verdict)[1]) >= 2


def test_figures_of_a_point_that_is_not_there_are_found() -> None:
    verdict, report = scored("phases")
    one = verdict.model_copy(update={"points": verdict.points[:1]})
    assert any("no such point" in says for says in compare_printed(report, one)[1])


def test_a_missing_row_is_named() -> None:
    case = sound_case()
    gone = case.rows[7]
    gate = artifacts(case, rows=[row for row in case.rows if row.id != gone.id])
    assert gate.verdict == "fail"
    assert gate.evidence[0] == f"rows.jsonl lacks 1 row ({gone.id})."


def test_a_verdict_that_counts_other_rows_is_found() -> None:
    case = sound_case()
    verdict = case.score().model_copy(update={"rows_planned": 41})
    assert artifacts(case, verdict=verdict).evidence[0] == (
        "The verdict counts 41 planned rows, the plan 40."
    )


def test_a_wrong_digit_in_the_report_fails_the_gate_with_its_place() -> None:
    case = sound_case()
    verdict = case.score()
    report = render_figures(verdict)
    gate = artifacts(case, verdict=verdict, report=report.replace("44.9", "45.9", 1))
    assert gate.verdict == "fail"
    assert re.match(r"report\.md:\d+: gain of phase \w+: it prints 45\.9", gate.evidence[0])


# --- documents and lines -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from("ab"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "x", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_documents_differ_exactly_when_a_leaf_does(one: object, other: object) -> None:
    assert not list(differences(one, one))
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    near = _rounded(one) == _rounded(other)
    if not same and not near:
        assert list(differences(one, other))


def _rounded(document: object) -> str:
    """Write a document with its numbers as floats of few digits: 1 and 1.0 are one number."""
    if isinstance(document, dict):
        inner = (f"{key}:{_rounded(document[key])}" for key in sorted(document))
        return f"{{{','.join(inner)}}}"
    if isinstance(document, list):
        return f"[{','.join(map(_rounded, document))}]"
    if isinstance(document, bool) or not isinstance(document, int | float):
        return repr(document)
    return f"{float(document) + 0.0:.6g}"


def test_a_difference_names_where_it_is() -> None:
    kept = {"points": [{"point": "p", "axes": {}, "estimates": [{"name": "gain", "value": 45.0}]}]}
    rows = {"points": [{"point": "p", "axes": {}, "estimates": [{"name": "gain", "value": 44.0}]}]}
    (found,) = differences(kept, rows, "verdict.json")
    assert found.says == (
        "verdict.json.points[p].estimates[gain].value: it says 45.0, and the rows give 44.0"
    )
    assert found.number
    assert leaves(kept) == 1


def test_entries_are_compared_by_their_names() -> None:
    """What one of two versions leaves out does not make the others look changed."""
    gain, rate, power = ({"name": name, "value": 1.0} for name in ("gain", "rate", "power"))
    for kept, rows in (([gain, power], [gain, rate, power]), ([gain, rate, power], [gain, power])):
        found = list(differences({"e": kept}, {"e": rows}))
        assert len(found) == 2
        assert not any(each.number for each in found)
        assert "e[rate]" in found[1].says
    (moved,) = differences([gain, rate], [rate, gain], "e")
    assert moved.says == "e: its entries are in another order"
    changed = [gain, {**power, "value": 2.0}]
    assert [
        each.says for each in differences(changed, [gain, rate, power], "e") if each.number
    ] == ["e[power].value: it says 2.0, and the rows give 1.0"]


def test_another_library_may_differ_in_the_last_digits_only() -> None:
    assert not list(differences({"p": 0.1}, {"p": 0.1 * (1 + 1e-12)}))
    assert list(differences({"p": 0.1}, {"p": 0.1 * (1 + 1e-7)}))
    assert list(differences({"p": 0.0}, {"p": 1e-300}))
    assert list(differences({"p": True}, {"p": 1}))


@given(st.lists(st.sampled_from(["a 1", "a 2", "b", ""]), max_size=6), st.data())
def test_lines_differ_exactly_when_texts_do(lines: list[str], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.sampled_from(["a 1", "a 2", "b", ""]), max_size=6))
    found = list(differing_lines("\n".join(lines), "\n".join(other), "f"))
    same = "\n".join(lines).splitlines() == "\n".join(other).splitlines()
    assert bool(found) is not same


def test_a_line_that_differs_is_told_by_its_number() -> None:
    kept, rows = "a\ngain 45.0 % of 3\n", "a\ngain 44.0 % of 3\n"
    told = list(differing_lines(kept, rows, "report.md"))
    assert told == ["report.md:2: it says '45.0', and the rows give '44.0'"]
    gone = list(differing_lines("a\nc", "a\nb 7\nc", "report.md"))
    assert gone == ["report.md:2: it says nothing, and the rows give 'b 7'"]
