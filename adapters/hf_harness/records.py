"""The records of the harness's result file: one JSON object a line, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, model_validator

from reprokit.records import Cause, CompileDecision, Frame


class _Line(BaseModel):
    """A line of the file. Extra fields are allowed: a newer harness may say more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Floor(_Line):
    """The least time in ms that one iteration can take; None with a reason."""

    ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    reason: str | None = None


class _Tolerance(_Line):
    """How near the logits of two arms must be; files of older harnesses do not say it."""

    logits: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class ModelFacts(_Line):
    """The weights as they lie on the device.

    Attributes:
        dtypes: how many parameters there are of each dtype, floating-point ones.
        kept_in_float32: those that the model's own code keeps in float32 whatever is asked for.
        quantized: weights are packed, so that most of them are no parameters.
    """

    parameters: Annotated[int, Field(ge=0)] | None = None
    weight_bytes: Annotated[int, Field(ge=0)] | None = None
    dtypes: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    kept_in_float32: int = 0
    quantized: bool = False


class HeaderRecord(_Line):
    """What was asked for and what it was measured on; the first line."""

    kind: Literal["header"]
    schema_: Annotated[Literal["reprokit/harness/v1"], Field(alias="schema")]
    spec: dict[str, JsonValue]
    versions: dict[str, str | None]
    device: dict[str, JsonValue]
    model: dict[str, JsonValue]
    floor: dict[str, JsonValue]
    tolerance: dict[str, JsonValue]

    @property
    def floor_ms(self) -> float | None:
        """The least time that one iteration can take."""
        return _Floor.model_validate(self.floor).ms

    @property
    def logit_tolerance(self) -> float | None:
        """How near the logits of two arms must be."""
        return _Tolerance.model_validate(self.tolerance).logits

    @property
    def model_facts(self) -> ModelFacts:
        """What the weights are."""
        return ModelFacts.model_validate(self.model)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        ModelFacts.model_validate(self.model)
        _Floor.model_validate(self.floor)
        _Tolerance.model_validate(self.tolerance)
        return self


class Weighed(_Line):
    """What other logits say of the tokens; in decoding those of the whole sequence at once.

    Attributes:
        finite: none of these logits is inf or nan.
        stray: the first token that is neither their greatest nor tied with it; None for nowhere.
    """

    finite: bool
    stray: Annotated[int, Field(ge=0)] | None


class IterationRecord(_Line):
    """One timed iteration. Times in ms."""

    kind: Literal["iteration"]
    iteration: Annotated[int, Field(ge=0)]
    latency_ms: _Number
    device_ms: _Number | None
    ttft_ms: _Number | None
    check_ms: _Number | None = None
    window_s: tuple[_Number, _Number] | None = None
    device: str
    finite: bool
    tokens_made: Annotated[int, Field(ge=0)]
    tokens_asked: int
    output: tuple[int, ...]
    ties: tuple[int | None, ...]
    weighed: Weighed | None = None
    input: Annotated[str, Field(min_length=1)]
    logits: Annotated[str, Field(min_length=1)] | None
    sampled_logits: tuple[tuple[_Number, ...], ...] | None = None
    overhead_ms: _Number | None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.output) == len(self.ties) == self.tokens_made:
            raise ValueError("tokens_made, output and ties must be equally long")
        return self


class CompileRecord(_Line):
    """Whether compiled code ran, with the facts that say so."""

    kind: Literal["compile"]
    decision: CompileDecision
    reason: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    artifact: str | None


class FailureRecord(_Line):
    """The exception that the harness ended with."""

    kind: Literal["failure"]
    exception: str
    message: str
    frame: Frame | None
    causes: tuple[Cause, ...]


class EachCall(_Line):
    """One more iteration, untimed, in which the logits of each call of the model were looked at.

    Attributes:
        calls: of the model.
        not_finite: the first one whose logits hold inf or nan; None for nowhere.
    """

    calls: int
    not_finite: Annotated[int, Field(ge=0)] | None


class EndRecord(_Line):
    """The last line of a file that is whole. Memory in bytes; `spent_s` is stage to time in s."""

    kind: Literal["end"]
    iterations: int
    peak_bytes: int | None
    overhead_ms: _Number | None
    each_call: EachCall | None = None
    spent_s: dict[str, _Number] = Field(default_factory=dict)


HarnessRecord = HeaderRecord | IterationRecord | CompileRecord | FailureRecord | EndRecord
_LINE: TypeAdapter[HarnessRecord] = TypeAdapter(
    Annotated[HarnessRecord, Field(discriminator="kind")]
)


def read_record(line: bytes) -> HarnessRecord:
    """Read one line of the file.

    Raises:
        ValidationError: it is not one of the records.
    """
    return _LINE.validate_json(line)
