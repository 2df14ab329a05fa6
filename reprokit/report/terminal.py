"""The verdict on a terminal: a table of the points and the sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reprokit.records import Arm
from reprokit.report.gates_section import gates_line
from reprokit.report.points_section import headline_estimate, headline_name
from reprokit.report.robustness_section import robustness_line
from reprokit.report.wording import SYNTHETIC, estimate_words, label_words
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.wording import headline_words, one_line, outcome_words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES = {Outcome.REPRODUCED: "green", Outcome.TRANSFERS: "green"}


def render_terminal(verdict: Verdict) -> RenderableType:
    """Return what rich prints: one row per point, then the verdict in one sentence."""
    from rich import box  # noqa: PLC0415 - rich is slow to import
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    axes = list(dict.fromkeys(name for point in verdict.points for name in point.axes))
    arms = [arm for arm in Arm if arm in verdict.arms]
    title = Text(one_line(verdict.title), style="bold")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    # What decides stays on one line; at 80 columns only the last columns may fold.
    for name in (*axes, "outcome", headline_name(verdict)):
        table.add_column(Text(name), no_wrap=True, overflow="ellipsis")
    undeclared = any(found.declared is not True for found in verdict.environments)
    last = [*(f"{verdict.arms[arm]} ok" for arm in arms), *(["declared"] if undeclared else [])]
    for name in last:
        table.add_column(Text(name), overflow="fold")
    for point in verdict.points:
        table.add_row(
            *(Text(str(point.axes.get(axis, "-"))) for axis in axes),
            Text(outcome_words(point.outcome, verdict.altered), style=style(point.outcome)),
            Text(_estimate(verdict, point)),
            *(Text(_survival(point, arm)) for arm in arms),
            *([_declared(verdict, point)] if undeclared else []),
        )
    headline = Text(f"{one_line(headline_words(verdict)).upper()}. ", style=style(verdict.outcome))
    headline.append(one_line(verdict.sentence, 2000), style="default")
    if SYNTHETIC in verdict.labels:
        headline.append(f"\n{label_words(SYNTHETIC)}", style="default")
    gates = [Text(gates_line(verdict.gates))] if verdict.gates else []
    robust = robustness_line(verdict)
    return Group(table, headline, *([Text(one_line(robust, 600))] if robust else []), *gates)


def style(outcome: Outcome) -> str:
    """Colour an outcome: what holds, what does not, what is open."""
    if not outcome.decided:
        return "bold yellow"
    return f"bold {_STYLES.get(outcome, 'red')}"


def _estimate(verdict: Verdict, point: PointVerdict) -> str:
    estimate = headline_estimate(verdict, point)
    return estimate_words(estimate) if estimate and estimate.value is not None else "-"


def _survival(point: PointVerdict, arm: Arm) -> str:
    found = next((each for each in point.survival if each.arm is arm), None)
    if found is None:
        return "-"
    if found.stopped_early:
        return f"{found.complete}/{found.attempted} of {found.planned}"
    return f"{found.complete}/{found.planned}"


def _declared(verdict: Verdict, point: PointVerdict) -> Text:
    from rich.text import Text  # noqa: PLC0415

    declared = verdict.environment(point.point).declared
    if declared is False:
        return Text("no", style="bold yellow")
    return Text("yes" if declared else "unknown")
