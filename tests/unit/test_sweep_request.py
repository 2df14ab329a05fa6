from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.errors import ExitCode, PlanError
from reprokit.sweep.request import AxisRequest, read_sweeps

KNOWN = ("sha", "triton", "python", "token_len", "flash-attn")


@pytest.mark.parametrize(
    ("texts", "requests"),
    [
        ((), []),
        (("sha",), [("sha", None)]),
        (("sha,triton",), [("sha", None), ("triton", None)]),
        (("triton=3.3.1,3.6.0",), [("triton", ("3.3.1", "3.6.0"))]),
        (("sha,triton=3.3.1,3.6.0",), [("sha", None), ("triton", ("3.3.1", "3.6.0"))]),
        (
            ("triton=3.3.1,torch=2.7.1,2.8.0",),
            [("triton", ("3.3.1",)), ("torch", ("2.7.1", "2.8.0"))],
        ),
        (("triton=3.3.1", "sha"), [("triton", ("3.3.1",)), ("sha", None)]),
        ((" sha , triton = 3.3.1 , 3.6.0 ",), [("sha", None), ("triton", ("3.3.1", "3.6.0"))]),
        (("torch",), [("torch", None)]),
    ],
)
def test_sweep_texts(
    texts: tuple[str, ...], requests: list[tuple[str, tuple[str, ...] | None]]
) -> None:
    assert read_sweeps(texts, KNOWN) == tuple(AxisRequest(*each) for each in requests)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("",), "empty part"),
        ((",",), "empty part"),
        (("sha,",), "empty part"),
        (("triton=",), "empty part"),
        (("triton=,3.6",), "empty part"),
        (("triton=3.6,,3.7",), "empty part"),
        (("=3.6",), "empty part"),
        (("triton=3.3.1,sha",), "could be a value of 'triton' or the axis 'sha'"),
        (("torch=2.7,flash_attn",), "could be a value"),
        (("triton==3.3.1",), "two '='"),
        (("sha,sha",), "swept twice"),
        (("sha", "sha=x"), "swept twice"),
        (("flash-attn=1", "flash_attn=2"), "swept twice"),
    ],
)
def test_what_cannot_be_read_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(PlanError) as raised:
        read_sweeps(texts, KNOWN)
    assert words in raised.value.what
    assert raised.value.hint
    assert raised.value.exit_code is ExitCode.USAGE


_names = st.sampled_from(["sha", "triton", "torch", "numpy", "token_len"])
_values = st.lists(st.from_regex(r"\d\.\d", fullmatch=True), min_size=1, max_size=3)


@given(st.dictionaries(_names, _values, max_size=4))
def test_values_written_in_one_text_or_in_several_mean_the_same(
    wanted: dict[str, list[str]],
) -> None:
    texts = tuple(f"{name}={','.join(values)}" for name, values in wanted.items())
    apart = read_sweeps(texts, KNOWN)
    assert apart == tuple(AxisRequest(name, tuple(values)) for name, values in wanted.items())
    if texts:
        assert read_sweeps((",".join(texts),), KNOWN) == apart
