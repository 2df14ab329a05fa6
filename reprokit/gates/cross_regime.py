"""Gate 5: the qualitative outcome held over at least two regimes, or its change is stated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reprokit.gates.findings import Finding, gate_of
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import OUTCOME_WORDS, count, series

_UNKNOWN = "unknown hardware"


@dataclass(frozen=True)
class RegimeOutcome:
    """What one condition came to on one regime.

    Attributes:
        regime: the hardware, equal for equal hardware; None where it is not known.
        outcome: of the claim, or of the condition, there.
        condition: what is compared with the same condition elsewhere; empty for the whole claim.
    """

    regime: str | None
    outcome: Outcome
    condition: str = ""


def judge_regimes(
    outcomes: Sequence[RegimeOutcome], *, combined: Outcome | None = None
) -> GateVerdict:
    """Compare the outcomes of a claim's conditions over regimes.

    A regime with an undecided outcome, or one that is not known, compares with nothing.

    Args:
        outcomes: of every regime and condition; several of one regime must agree.
        combined: the outcome that the verdict over all regimes states; one that says a single
            thing although regimes differ hides the change, and the gate fails. None where only
            this gate states it.
    """
    conditions: dict[str, list[RegimeOutcome]] = {}
    for each in outcomes:
        conditions.setdefault(each.condition, []).append(each)
    findings = [
        Finding(finding.state, finding.says, condition)
        for condition, found in conditions.items()
        for finding in _condition(found, combined)
    ]
    return gate_of("cross_regime", findings)


def own_regime(verdict: Verdict) -> tuple[RegimeOutcome, ...]:
    """Name what one run came to, on the hardware that it was measured on."""
    gpus = {
        part.measured for point in verdict.points for part in point.identity if part.name == "gpu"
    }
    known = sorted(each for each in gpus if each is not None)
    regime = series(known) if known and None not in gpus else None
    return (RegimeOutcome(regime, verdict.outcome),)


def _condition(found: Sequence[RegimeOutcome], combined: Outcome | None) -> Iterator[Finding]:
    regimes: dict[str, set[Outcome]] = {}
    for each in found:
        if each.regime is not None and each.outcome.decided:
            regimes.setdefault(each.regime, set()).add(each.outcome)
    for each in found:
        if each.regime is None or not each.outcome.decided:
            yield Finding("open", f"{OUTCOME_WORDS[each.outcome]} on {each.regime or _UNKNOWN}")
    torn = [name for name, seen in regimes.items() if len({_quality(each) for each in seen}) > 1]
    if torn:
        yield Finding("open", f"runs on {series(torn)} do not agree with each other")
    elif len(regimes) < 2:
        named = f" ({series(list(regimes))})" if regimes else ""
        decided = count(len(regimes), "regime")
        yield Finding("open", f"decided on {decided}{named}; comparing takes at least 2")
    else:
        yield _compared(regimes, combined)


def _compared(regimes: dict[str, set[Outcome]], combined: Outcome | None) -> Finding:
    groups: dict[str, list[str]] = {}
    for name, seen in regimes.items():
        groups.setdefault(_quality(min(seen)), []).append(name)
    if len(groups) == 1:
        (quality,) = groups
        return Finding(
            "pass", f"the qualitative outcome held on {series(list(regimes))}: {quality}"
        )
    told = "; ".join(f"{quality} on {series(names)}" for quality, names in groups.items())
    if combined is not None and combined.decided and combined is not Outcome.DEPENDS:
        words = OUTCOME_WORDS[combined]
        return Finding("fail", f"the outcome changes ({told}), and the verdict says {words} of all")
    return Finding("pass", f"the qualitative outcome changes, and is stated: {told}")


def _quality(outcome: Outcome) -> str:
    """Say an outcome by its kind: a claim that transfers holds as much as one reproduced."""
    return "the claim holds" if outcome.holds else OUTCOME_WORDS[outcome]
