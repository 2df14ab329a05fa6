"""What happened at one stack point, as a clause: lower case, without a full stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reprokit.claim.model import (
    Conclusion,
    ExpectEquivalence,
    ExpectStability,
    ExpectValue,
)
from reprokit.metrics import METRICS, Direction
from reprokit.records import Arm, Estimate, RowStatus
from reprokit.stack import ReadyPoint
from reprokit.stats.rates import upper_bound_of_none
from reprokit.verdict.guards import Decision
from reprokit.verdict.outcome import REASON_WORDS, Outcome, Reason
from reprokit.verdict.records import FailureGroup, Survival
from reprokit.verdict.survival import main_failure
from reprokit.verdict.wording import (
    attempts_words,
    both_ends,
    count,
    decimals,
    failure_words,
    interval,
    number,
    series,
)

_LONGEST_DETAIL = 240
_FAILED_ARM = {
    Reason.BASELINE_NO_SURVIVORS: Arm.BASELINE,
    Reason.UNSUPPORTED: Arm.SUBJECT,
    Reason.ENVIRONMENT_FAULT: Arm.SUBJECT,
}
"""The arm whose failure explains why nothing can be said."""
_OUT_OF_RANGE = "the figures are beyond what a number can hold"


@dataclass(frozen=True)
class Story:
    """All that a clause may draw on."""

    expect: Conclusion
    on_figures: Decision
    arms: Mapping[Arm, str]
    survival: Mapping[Arm, Survival]
    failures: Sequence[FailureGroup]
    estimates: Mapping[str, Estimate]
    ready: ReadyPoint | None
    needed: Estimate | None
    pooled: tuple[str, ...] = ()
    """Cell axes of which a figure is the mean over several values."""


def clause_of(story: Story) -> str:
    """Say what happened; what was decided is said by the outcome beside it."""
    outcome = story.on_figures.outcome
    if outcome is Outcome.INVALID:
        return _invalid(story)
    if outcome is Outcome.INSUFFICIENT:
        return _insufficient(story)
    if outcome is Outcome.NO_SURVIVORS:
        return _no_survivors(story)
    if outcome is Outcome.SILENT_FALLBACK:
        partly = Reason.COMPILED_PARTLY in story.on_figures.reasons
        ran = "with at most a part of it compiled" if partly else "without running compiled code"
        return f"the {_name(story, Arm.SUBJECT)} arm returned {ran}"
    return _figures(story) + _but(story) + _stopped(story, *Arm)


def _figures(story: Story) -> str:
    if isinstance(story.expect, ExpectStability):
        return _crash_rate(story)
    told = (
        _value(story, story.expect) if isinstance(story.expect, ExpectValue) else _contrast(story)
    )
    if not story.pooled:
        return told
    axes = series([name.replace("_", " ") for name in story.pooled])
    return f"{told} (mean over the cells of {axes})"


def _value(story: Story, expect: ExpectValue) -> str:
    metric = METRICS[expect.metric]
    found = story.estimates[f"{Arm.SUBJECT}_{metric.name}"]
    if found.value is None:
        return _OUT_OF_RANGE
    verb = "runs at" if metric.direction is Direction.HIGHER else "takes"
    off = 100.0 * (found.value / expect.value - 1.0)
    side = "above" if off >= 0 else "below"
    return (
        f"{_name(story, Arm.SUBJECT)} {verb} {number(found.value)} {metric.unit} "
        f"{interval(found.low, found.high)}, {decimals(abs(off), 1)} % {side} "
        f"the claimed {expect.value:g} {expect.unit}"
    )


def _contrast(story: Story) -> str:
    """Gain or overhead in words; an equivalence is told with the interval that decides it."""
    gain = story.estimates["gain"]
    if gain.value is None:
        return _OUT_OF_RANGE
    low, high, level = gain.low, gain.high, ""
    deciding = story.estimates.get("tost_contrast")
    if isinstance(story.expect, ExpectEquivalence) and deciding and deciding.level:
        low = None if deciding.high is None else 100.0 * (1.0 - deciding.high)
        high = None if deciding.low is None else 100.0 * (1.0 - deciding.low)
        level = f" ({100 * deciding.level:.0f} % interval)"
    told, saves = interval(low, high, digits=1, percent=True), gain.value >= 0
    if not saves and low is not None and high is not None:
        told = interval(-high, -low, digits=1, percent=True)
    share = f"{decimals(abs(gain.value), 1)} % {'less' if saves else 'more'}"
    return (
        f"{_name(story, Arm.SUBJECT)} takes {share} "
        f"time than {_name(story, Arm.BASELINE)} {told}{level}"
    ).strip()


def _crash_rate(story: Story) -> str:
    survival = story.survival[Arm.SUBJECT]
    counted = survival.crash_rate_as_published
    rate = survival.crash_rate
    assert counted.value is not None
    assert rate.level is not None
    attempted, launches = counted.n["iterations"], rate.n["invocations"]
    failed = round(counted.value * attempted)
    told = f"{failed} of {count(attempted, 'iteration')} of {_name(story, Arm.SUBJECT)} failed"
    if failed == 0:
        bound = upper_bound_of_none(launches, rate.level)
        return (
            f"{told} in {count(launches, 'invocation')}, which still allows a crash rate of "
            f"{100 * bound:.0f} % at the {100 * rate.level:.0f} % level"
        )
    told += (
        f", crash rate {rate.value:.3f} {interval(rate.low, rate.high, digits=3)} over "
        f"{count(launches, 'invocation')}"
    )
    failure = main_failure(story.failures, Arm.SUBJECT)
    return f"{told} ({failure_words(failure)})" if failure else told


def _but(story: Story) -> str:
    """Say beside the figures what keeps them from being a plain answer."""
    told = ""
    reasons = story.on_figures.reasons
    if Reason.PARTIAL_SURVIVAL in reasons:
        failure = main_failure(story.failures, Arm.SUBJECT)
        why = f" ({_status_words(failure)})" if failure else ""
        told += f", but only {_survived(story, Arm.SUBJECT)} survived whole{why}"
    if Reason.BASELINE_PARTIAL in reasons:
        told += f", but only {_survived(story, Arm.BASELINE)} of the baseline survived whole"
    if story.needed is not None and story.needed.value is not None:
        told += f"; about {story.needed.value:.0f} invocations per arm would decide it"
    elif story.needed is not None:
        told += "; no affordable number of invocations would decide it"
    return told


def _status_words(failure: FailureGroup) -> str:
    """Tell a failure, with its status where no exception says more."""
    told = failure_words(failure)
    return told if failure.exception else f"{failure.status}: {told}"


def _survived(story: Story, arm: Arm) -> str:
    survival = story.survival[arm]
    return f"{survival.complete} of {count(survival.attempted, 'invocation')}"


def _no_survivors(story: Story) -> str:
    survival = story.survival[Arm.SUBJECT]
    arm = _name(story, Arm.SUBJECT)
    failure = main_failure(story.failures, Arm.SUBJECT)
    why = f"; {failure_words(failure)}" if failure else ""
    stopped = _stopped(story, Arm.SUBJECT)
    if Reason.WRONG_OUTPUT in story.on_figures.reasons:
        tried = f"0 of {survival.attempted}{stopped}{why}"
        return f"no {arm} invocation gave the baseline's output ({tried})"
    if survival.complete or survival.partial:
        in_all = f"{survival.complete} of {survival.attempted} in all"
        return f"no {arm} invocation survived in at least one cell ({in_all}{stopped}{why})"
    told = f"no {arm} invocation survived (0 of {survival.attempted}{stopped}{why})"
    if Reason.UNSUPPORTED in story.on_figures.reasons:
        told += ", and the code there does not support what was asked"
    return told


def _stopped(story: Story, *arms: Arm) -> str:
    """Say which arms were not measured as often as planned, because they failed alike."""
    told = [
        (arm, words)
        for arm in arms
        if arm in story.survival and (words := attempts_words(story.survival[arm]))
    ]
    if len(arms) == 1:
        return "".join(f"; {words}" for _, words in told)
    return "".join(f"; {_name(story, arm)} {words}" for arm, words in told)


def _insufficient(story: Story) -> str:
    survival = story.survival[Arm.SUBJECT]
    if survival.attempted == 0:
        return f"nothing of {_name(story, Arm.SUBJECT)} was measured"
    return (
        f"{_survived(story, Arm.SUBJECT)} of {_name(story, Arm.SUBJECT)} survived whole, and a "
        f"decision needs at least 2 usable ones per arm and cell{_stopped(story, *Arm)}"
    )


def _invalid(story: Story) -> str:
    code = story.on_figures.reasons[0]
    if code == Reason.COMPILE_UNPROVEN:
        return _unproven(story)
    if code == Reason.ENVIRONMENT_FAILED:
        return _no_environment(story)
    words = REASON_WORDS[Reason(code)].rstrip(".").split(". ")[0]
    told = words[:1].lower() + words[1:]
    arm = _FAILED_ARM.get(Reason(code))
    failure = main_failure(story.failures, arm) if arm else None
    if arm and failure:
        return f"{told} ({failure_words(failure)}{_stopped(story, arm)})"
    return told


def _unproven(story: Story) -> str:
    """Say it with the reason that a row gives: it tells what the proof lacked."""
    told = f"compilation of the {_name(story, Arm.SUBJECT)} arm could not be proved"
    mine = (each for each in story.failures if each.arm is Arm.SUBJECT)
    fallback = next((each for each in mine if each.status is RowStatus.SILENT_FALLBACK), None)
    return f"{told} ({failure_words(fallback)})" if fallback else told


def _no_environment(story: Story) -> str:
    told = "the environment could not be built or verified"
    ready = story.ready
    detail = ready.failed_detail or ready.failed if ready else None
    if detail is None:
        failed = [each for each in story.failures if each.status is RowStatus.ENVIRONMENT_FAILED]
        detail = failed[0].message if failed else None
    return f"{told} ({both_ends(detail, _LONGEST_DETAIL)})" if detail else told


def _name(story: Story, arm: Arm) -> str:
    return story.arms.get(arm, arm.value)
