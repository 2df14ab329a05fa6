"""Outcomes, which of them are decisions, and the exit code each ends with."""

from __future__ import annotations

from enum import StrEnum

from reprokit.errors import ExitCode


class Outcome(StrEnum):
    """What became of a claim at one point, or as a whole (`depends` is for the whole)."""

    REPRODUCED = "reproduced"
    FALLS_SHORT = "falls_short"
    EXCEEDS = "exceeds"
    INCONCLUSIVE = "inconclusive"
    NO_SURVIVORS = "no_survivors"
    SILENT_FALLBACK = "silent_fallback"
    INSUFFICIENT = "insufficient"
    INVALID = "invalid"
    TRANSFERS = "transfers"
    TRANSFERS_SHIFTED = "transfers_shifted"
    DOES_NOT_TRANSFER = "does_not_transfer"
    DEPENDS = "depends"

    @property
    def decided(self) -> bool:
        """False where the rows do not tell: neither a yes nor a no may be read from it."""
        return self not in _UNDECIDED

    @property
    def holds(self) -> bool:
        """True where the claim is true of what was measured; False also where that is open.

        Two decisions of which both or neither hold differ only in how.
        """
        return self in _HOLDING


_HOLDING = frozenset({Outcome.REPRODUCED, Outcome.TRANSFERS})
_UNDECIDED = frozenset({Outcome.INCONCLUSIVE, Outcome.INSUFFICIENT, Outcome.INVALID})


class Reason(StrEnum):
    """Why an outcome is what it is; every code has its words in `REASON_WORDS`."""

    ENVIRONMENT_FAILED = "environment_failed"
    INCOMPLETE_RUN = "incomplete_run"
    CONTAMINATED = "contaminated"
    MIXED_DEVICES = "mixed_devices"
    METRIC_MISSING = "metric_missing"
    IMPOSSIBLE_VALUE = "impossible_value"
    ZERO_VARIANCE = "zero_variance"
    TOO_FEW_INVOCATIONS = "too_few_invocations"
    ONLY_COLD = "only_cold_iterations"
    UNSUPPORTED = "unsupported"
    ENVIRONMENT_FAULT = "environment_fault"
    WRONG_OUTPUT = "wrong_output"
    COMPILE_UNPROVEN = "compile_unproven"
    COMPILED_PARTLY = "compiled_partly"
    PARTIAL_SURVIVAL = "partial_survival"
    BASELINE_NO_SURVIVORS = "baseline_no_survivors"
    BASELINE_PARTIAL = "baseline_partial_survival"
    STRADDLES = "interval_straddles_a_bound"
    RATE_OFF = "rate_is_not_the_claimed_one"
    OTHER_REGIME = "other_regime"
    REGIME_UNKNOWN = "regime_unknown"
    SPEEDUP_UNCLEAR = "speedup_unclear"
    BANDWIDTH_LOST = "bandwidth_share_lost"
    AXIS_NOT_SWEPT = "axis_not_swept"
    NOTHING_PLANNED = "nothing_planned"
    NOTHING_EXPECTED = "nothing_expected"
    SOME_UNDECIDED = "some_points_undecided"
    GATE_FAILED = "gate_failed"


REASON_WORDS: dict[Reason, str] = {
    Reason.ENVIRONMENT_FAILED: "The environment could not be built or verified, so nothing was "
    "measured.",
    Reason.INCOMPLETE_RUN: "Planned iterations are missing. Nothing is decided from part of a "
    "run; continue it with --resume.",
    Reason.CONTAMINATED: "Something else disturbed the measurement.",
    Reason.MIXED_DEVICES: "Rows that should be compared ran on different devices.",
    Reason.METRIC_MISSING: "Successful rows lack the claim's metric.",
    Reason.IMPOSSIBLE_VALUE: "A measured value is zero, negative or not finite.",
    Reason.ZERO_VARIANCE: "All invocations gave the same time to the last digit; identical "
    "timings are not evidence.",
    Reason.TOO_FEW_INVOCATIONS: "Fewer than 2 invocations could be used; one process launch says "
    "nothing about the next.",
    Reason.ONLY_COLD: "Only cold iterations were measured, and those are never used.",
    Reason.UNSUPPORTED: "The code at this point does not support what was asked of it.",
    Reason.ENVIRONMENT_FAULT: "The packages of the environment do not work together, with or "
    "without what the claim is about, so it was not tested.",
    Reason.WRONG_OUTPUT: "The output differs from the baseline's.",
    Reason.COMPILE_UNPROVEN: "Compilation could not be proved: neither that compiled code ran "
    "nor that it did not.",
    Reason.COMPILED_PARTLY: "At most a part of the subject ran as compiled code.",
    Reason.PARTIAL_SURVIVAL: "Some runs of the subject failed; the timings of those that survived "
    "do not make the claim true.",
    Reason.BASELINE_NO_SURVIVORS: "No baseline run succeeded, so there is nothing to compare with. "
    "A failure of both arms says nothing of what differs between them.",
    Reason.BASELINE_PARTIAL: "Some runs of the baseline failed; the ones left may not be "
    "representative.",
    Reason.STRADDLES: "The interval reaches over a bound of the claim.",
    Reason.RATE_OFF: "The observed rate is another one, and the interval does not exclude the "
    "claimed one.",
    Reason.OTHER_REGIME: "Measured on other hardware than the claim names.",
    Reason.REGIME_UNKNOWN: "It could not be told whether the hardware is the one that the claim "
    "names.",
    Reason.SPEEDUP_UNCLEAR: "The figure is another one here, and it is open whether the advantage "
    "over the baseline is kept.",
    Reason.BANDWIDTH_LOST: "It uses less than half of the share of the memory's bandwidth that the "
    "claim means on its own hardware.",
    Reason.AXIS_NOT_SWEPT: "The claim is about several values of an axis, and fewer than 2 were "
    "run.",
    Reason.NOTHING_PLANNED: "The plan contains no subject invocation.",
    Reason.NOTHING_EXPECTED: "The claim states no bound, so nothing can meet it or miss it.",
    Reason.SOME_UNDECIDED: "Some points are undecided.",
    Reason.GATE_FAILED: "What stands behind the figures contradicts them or their labels, so they "
    "show nothing, neither for nor against the claim; see Gates.",
}


def exit_code(outcome: Outcome, *, only_infrastructure: bool = False) -> ExitCode:
    """Exit code of a verdict.

    0 means true here, on the hardware that the claim names. `transfers` is 3: true here, and the
    claim's own hardware is still open. What is not true here is 1, wherever it was measured.

    Args:
        outcome: outcome of the claim.
        only_infrastructure: every point failed before anything could be measured.
    """
    if only_infrastructure:
        return ExitCode.INFRASTRUCTURE
    if outcome is Outcome.REPRODUCED:
        return ExitCode.REPRODUCED
    if outcome is Outcome.TRANSFERS or not outcome.decided:
        return ExitCode.UNDECIDED
    return ExitCode.NOT_REPRODUCED
