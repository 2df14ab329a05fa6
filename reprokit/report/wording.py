"""Words of the report: labels, reason codes, statuses and estimates, explained to a reader."""

from __future__ import annotations

from reprokit.records import Estimate, RowStatus
from reprokit.verdict.outcome import REASON_WORDS, Outcome, Reason
from reprokit.verdict.wording import decimals, interval

SYNTHETIC = "synthetic_weights"
"""The label that no verdict may be shown without."""

_LABELS = {
    "underpowered": "Fewer than 5 invocations an arm: legal, with wide intervals and little power.",
    SYNTHETIC: "The weights are random. Every step of a dense model reads every weight "
    "once and multiplies by it, whatever its value, so its throughput does not depend on them. It "
    "does where values decide what is computed: early stopping (how many tokens), routing of "
    "mixtures of experts, sparsity; and a GPU at its power limit clocks by the bits that flip. The "
    "text means nothing.",
    "synthetic_tokenizer": "The tokenizer was made for this run; the text it gives means nothing.",
    "stand_in_tokenizer": "The package that reads tokenizers was not there; a stand-in of "
    "reprokit's read the synthetic one. Nothing that is timed uses it.",
    "local_checkpoint": "The checkpoint was one that lay on the machine; the report cannot tell "
    "which.",
    "includes_prefill": "The timed interval contains the processing of the prompt.",
    "output_tied": "The output differs from the baseline's only where the evidence says that two "
    "tokens were equally good within rounding.",
    "output_unchecked": "The output could not be compared with the baseline's.",
    "device_unreported": "The benchmark did not say which device it ran on.",
    "gpu_unwatched": "It could not be seen whether something else disturbed the GPU; see GPU.",
    "several_gpus": "The rows of one point are of more than one GPU of the same kind.",
    "died_later": "The process ended badly after it had reported these iterations.",
    "undeclared": "The packages themselves do not declare that they work in this combination.",
    "relocked": "The claim's committed lock was put aside and the stack resolved anew: it is "
    "another stack than the claim's.",
    "not_locked": "An existing interpreter was measured; no lock stands behind its packages.",
    "other_versions": "The existing interpreter has other versions than the claim asks for: it is "
    "another stack than the claim's; see Environments.",
}

_STATUSES = {
    RowStatus.OK: "succeeded",
    RowStatus.CRASH: "crashed",
    RowStatus.OOM: "ran out of memory",
    RowStatus.TIMEOUT: "ran into the time limit",
    RowStatus.KILLED: "was killed by a signal",
    RowStatus.SILENT_FALLBACK: "ran without compiled code and did not say so",
    RowStatus.FALL_THROUGH: "ended well without a measurement",
    RowStatus.WRONG_OUTPUT: "gave another output than it should",
    RowStatus.CONTAMINATED: "was disturbed",
    RowStatus.ENVIRONMENT_FAILED: "had no environment",
    RowStatus.UNSUPPORTED: "is not supported by the code",
    RowStatus.NOT_RUN: "was not run",
}


_PLURAL = {"was": "were", "is": "are"}


def label_words(label: str) -> str:
    """Explain a label; one that an adapter of a third party brings explains itself."""
    return _LABELS.get(label, "A label of the adapter.")


def status_words(status: RowStatus, *, many: bool = False) -> str:
    """Say what became of an invocation, or of several."""
    words = _STATUSES[status]
    verb, _, rest = words.partition(" ")
    return f"{_PLURAL[verb]} {rest}" if many and verb in _PLURAL else words


def reason_words(code: str) -> str:
    """Explain a reason code; codes of `prepare` are explained by the environment's own detail."""
    try:
        return REASON_WORDS[Reason(code)]
    except ValueError:
        pass
    if code in set(Outcome):
        return "The outcome of the figures alone, before the hardware was compared."
    return "Why the environment failed; see Environments."


def estimate_words(estimate: Estimate) -> str:
    """Write an estimate with interval and unit, or why there is none."""
    if estimate.value is None:
        return f"none ({(estimate.reason or 'no reason').replace('_', ' ')})"
    digits = _digits(estimate)
    value = decimals(estimate.value, digits)
    unit = "" if estimate.unit in {"ratio", "proportion", "probability"} else f" {estimate.unit}"
    ends = interval(estimate.low, estimate.high, digits, percent=estimate.unit == "%")
    return f"{value}{unit} {ends}".strip()


def _digits(estimate: Estimate) -> int | None:
    """Decimals as TR147 rounds: percentages 2, rates 3, p-values 4; others by significance."""
    return {"%": 2, "proportion": 3, "ratio": 4, "probability": 4, "invocations": 0}.get(
        estimate.unit
    )
