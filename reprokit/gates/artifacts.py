"""Gate 3: every printed number is recomputed from the rows, and the hashes of the bundle hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reprokit.gates.findings import Finding, gate_of
from reprokit.gates.printed import compare_printed
from reprokit.plan import Plan
from reprokit.records import Row
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import count

_MOST = 6
_CLOSED_LATER = (
    "the digest of every file is listed when the report is written; `reprokit check` compares them"
)


@dataclass(frozen=True)
class Kept:
    """What a kept run was found to be, beside its rows; each complaint is a sentence.

    Attributes:
        manifest: what contradicts MANIFEST.sha256; `files` it lists, 0 where there is none.
        changed: what verdict.json or report.md say and the rows do not, of `numbers` and `lines`
            that were compared.
        unread: what could not be compared, and why.
    """

    manifest: tuple[str, ...] = ()
    files: int = 0
    changed: tuple[str, ...] = ()
    numbers: int = 0
    lines: int = 0
    unread: tuple[str, ...] = ()


def judge_artifacts(
    plan: Plan, rows: Sequence[Row], verdict: Verdict, report: str | None, kept: Kept | None = None
) -> GateVerdict:
    """Judge whether what is printed can be had from the rows again.

    Args:
        plan: the plan, which names every row that must be there.
        rows: the rows as they were read from rows.jsonl.
        verdict: what was computed from these rows.
        report: the report, or those of its sections that print estimates; None where there is none.
        kept: what a run that was kept was found to be; None while it is being scored.
    """
    findings = [*_rows(plan, rows, verdict), *_printed(report, verdict)]
    findings += [Finding("pass", _CLOSED_LATER)] if kept is None else _kept(kept)
    return gate_of("artifact_evidence", findings)


def damaged(why: str, kept: Kept) -> GateVerdict:
    """Judge a run of which nothing can be recomputed."""
    return gate_of("artifact_evidence", [Finding("fail", why), *_kept(kept)])


def _rows(plan: Plan, rows: Sequence[Row], verdict: Verdict) -> Iterator[Finding]:
    planned = plan.row_ids()
    there = {row.id for row in rows}
    missing = [name for name in planned if name not in there]
    if missing:
        yield Finding("fail", f"rows.jsonl lacks {_few(missing, 'row')}")
    strangers = sorted(there - set(planned))
    if strangers or len(there) != len(rows):
        yield Finding("fail", f"rows.jsonl holds {_few(strangers, 'row')} that were not planned")
    if not missing and not strangers:
        says = f"all {count(len(planned), 'planned row')} are in rows.jsonl, each once"
        yield Finding("pass", f"{says}; the figures are computed from them and nothing else")
    if verdict.rows_planned != len(planned):
        says = f"the verdict counts {verdict.rows_planned} planned rows, the plan {len(planned)}"
        yield Finding("fail", says)


def _printed(report: str | None, verdict: Verdict) -> Iterator[Finding]:
    if report is None:
        return
    compared, wrong = compare_printed(report, verdict)
    yield from _complaints(wrong)
    if not wrong:
        says = f"{count(compared, 'number')} of the report's tables of estimates, read back, are"
        yield Finding("pass", f"{says} those of the verdict to the last printed digit")


def _kept(kept: Kept) -> Iterator[Finding]:
    yield from _complaints(kept.manifest)
    yield from _complaints(kept.changed)
    yield from (Finding("open", says) for says in kept.unread)
    if kept.files and not kept.manifest:
        yield Finding("pass", f"the hashes of {count(kept.files, 'file')} in MANIFEST.sha256 hold")
    if kept.numbers and not kept.changed:
        told = f"{count(kept.numbers, 'number')} of verdict.json"
        told += f" and {count(kept.lines, 'line')} of report.md" if kept.lines else ""
        yield Finding("pass", f"{told} were compared with what the rows give")


def _complaints(wrong: Sequence[str]) -> Iterator[Finding]:
    yield from (Finding("fail", says) for says in wrong[:_MOST])
    if len(wrong) > _MOST:
        yield Finding("fail", f"and {len(wrong) - _MOST} more of the kind")


def _few(names: Iterable[str], noun: str) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    return f"{count(len(listed), noun)} ({', '.join(listed[:_MOST])}{more})"
