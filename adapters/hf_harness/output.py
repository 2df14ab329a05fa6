"""What is wrong with the output of an iteration, by what the harness saw of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from adapters.hf_harness.asked import steps_asked
from adapters.hf_harness.records import EndRecord, IterationRecord, Weighed


def complaint_about_output(record: IterationRecord, spec: Mapping[str, JsonValue]) -> str | None:
    """Say what is wrong with the logits and tokens of an iteration; None where nothing is.

    In decoding each token is judged by the model as it is, given the whole sequence at once. Both
    arms are: what goes wrong only in single steps goes wrong in both alike.
    """
    if record.logits is None:
        return "no_output: the call returned, and nothing was computed"
    if not record.finite:
        return "not_finite: the logits hold inf or nan"
    if record.weighed is not None:
        return _complaint_about_weighing(record.weighed, prefill=spec["phase"] == "prefill")
    return None if record.tokens_made == 0 else "not_weighed: nothing judged the tokens"


def _complaint_about_weighing(weighed: Weighed, *, prefill: bool) -> str | None:
    if not weighed.finite:
        return "not_finite: the logits of the whole sequence hold inf or nan"
    if weighed.stray is None:
        return None
    if prefill:
        return f"not_greedy: token {weighed.stray} is not the greatest of its logits"
    return (
        f"differs_from_whole_sequence: token {weighed.stray} is not what the model as it is "
        "chooses when it is given the whole sequence at once, nor tied with it"
    )


def complaint_about_calls(end: EndRecord, spec: Mapping[str, JsonValue]) -> str | None:
    """Say what is wrong with the logits of calls that no iteration keeps; None where nothing is.

    Where an iteration is one call of the model, those of every iteration were looked at.
    """
    asked, seen = steps_asked(spec), end.each_call
    if asked == 1:
        return None
    if seen is not None and seen.not_finite is not None:
        return f"not_finite: the logits of call {seen.not_finite} of the model hold inf or nan"
    if seen is None or seen.calls != asked:
        calls = 0 if seen is None else seen.calls
        return f"not_looked_at: an iteration makes {asked} calls of the model, and {calls} were"
    return None
