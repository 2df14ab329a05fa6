"""Labels, how to do it again, and what the report does not tell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from reprokit.claim.model import Claim
from reprokit.plan import Plan
from reprokit.report.markup import code, text
from reprokit.report.wording import label_words
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import count, one_line

_SETTABLE = re.compile(r"[A-Za-z_][\w.-]*=.*")
_LONGEST_COMMAND = 4000
_WHERE = {False: "On any machine", True: "On a machine with such an interpreter"}


def labels_section(verdict: Verdict) -> list[str]:
    """Explain every label in words."""
    if not verdict.labels:
        return []
    lines = ["## Labels", ""]
    for label in verdict.labels:
        holders = [point for point in verdict.points if label in point.labels]
        where = "" if len(holders) == len(verdict.points) else f" ({count(len(holders), 'point')})"
        lines.append(f"- {code(label)}{where}: {label_words(label)}")
    return lines


def reproduce_section(verdict: Verdict, claim: Claim, plan: Plan) -> list[str]:
    """Write the commands that do it again, and those that check this report.

    The digests are checked before anything else: `report` writes their list anew. What is measured
    again is started elsewhere, for a run inside this one would not belong to its bundle.
    """
    words = ["reprokit", "verify", "RUN/claim/claim.yaml"]
    for axis, values in plan.axes.items():
        chosen = ",".join(str(value) for value in values)
        as_claimed = list(claim.sweep.get(axis, {})) == list(values)
        words += ["--sweep", axis if as_claimed else f"{axis}={chosen}"]
    words += [] if plan.design == "full" else ["--design", plan.design]
    words += ["--device", plan.setup.device, "--seed", str(plan.seed)]
    words += ["--stack", f"host:{plan.host}"] if plan.host else []
    for change in plan.altered:
        # The device has its own option; the plan names it among the departures all the same.
        settable = _SETTABLE.fullmatch(change) and not change.startswith("device=")
        words += ["--set", change] if settable else []
    command = " ".join(shlex.quote(word) for word in words)
    return [
        "## Do it again",
        "",
        _WHERE[plan.host is not None] + ", from outside of this directory (`RUN` is its path):",
        "",
        *_block(command),
        "",
        "To check the files, and only then to draw verdict and report from the saved rows again:",
        "",
        *_block(
            "(cd RUN && sha256sum -c MANIFEST.sha256)",
            "reprokit score RUN",
            "reprokit report RUN",
        ),
        "",
        (
            f"{verdict.rows_ok} of {count(verdict.rows_planned, 'planned row')} ok; rows "
            f"{code(verdict.rows_sha256)}; order from seed {verdict.seed}."
        ),
    ]


def limits_section(verdict: Verdict, claim: Claim, plan: Plan) -> list[str]:
    """Say what nobody should read out of this report."""
    lines = [
        "It was measured on one machine, at one time; another machine of the same kind may differ.",
        "Pooled and as-published numbers are shown for readers who know them; they decide nothing.",
        "That a difference was not found is not evidence that there is none.",
    ]
    compared = {part.name for point in verdict.points for part in point.regime}
    if claim.regime and claim.regime.prompt is not None and "prompt" not in compared:
        lines.append("Whether the prompt is the claim's own was not checked.")
    if any(effect.effect == "cannot_tell" for effect in verdict.axes):
        lines.append("The design does not tell what every axis does; see Which axis.")
    if plan.design == "one-at-a-time" and len(plan.axes) > 1:
        lines.append("Axes were varied one at a time: how they act together was not measured.")
    lines += [*_shared(plan), *(text(note) for note in verdict.notes)]
    return ["## What this does not tell", "", *(f"- {line}" for line in lines)]


def _shared(plan: Plan) -> Iterator[str]:
    """Say where measurements that are told apart are not independent of each other."""
    axes = {
        name
        for cell, owner in plan.baselines.items()
        for name, value in plan.cell(cell).axes.items()
        if plan.cell(owner).axes.get(name) != value
    }
    if axes:
        names = " and ".join(code(name) for name in sorted(axes))
        yield (
            f"The baseline was measured once for all values of {names}: what moved it moved every "
            "comparison with it."
        )
    if any(planned.launch is not None for planned in plan.invocations):
        yield (
            "The cells of an arm were measured in one process, one after the other: what an "
            "earlier one left behind may have moved a later one."
        )


def _block(*commands: str) -> list[str]:
    """Write commands, one line each: an indented block has no end that a command could fake."""
    return [f"    {one_line(command, _LONGEST_COMMAND)}" for command in commands]
