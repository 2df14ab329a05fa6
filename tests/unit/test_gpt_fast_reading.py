"""What is believed of gpt-fast's log: every sample, and nothing that only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpt_fast_files import (
    NEW_SCRIPT,
    OLD_SCRIPT,
    block,
    checkout,
    decode_trace,
    invocation,
    log_text,
    setup,
    write_trace,
)

from adapters.gpt_fast import ADAPTER
from adapters.gpt_fast.generate_log import LONGEST_LINE, Block, read_log
from adapters.gpt_fast.samples import latency_ms
from reprokit.adapter import Reading
from reprokit.records import Arm, CompileDecision

TIMES = (0.50, 0.25, 0.20)


def read(
    tmp_path: Path, text: str | bytes, *, arm: Arm = Arm.BASELINE, script: str = NEW_SCRIPT
) -> Reading:
    point = checkout(tmp_path / "checkout", script)
    asked = invocation(tmp_path / "i", arm)
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "i" / "stdout.log").write_bytes(data)
    return ADAPTER.read(setup(), point, asked)


def test_every_sample_is_a_row_and_the_first_one_of_eager_is_cold(tmp_path: Path) -> None:
    reading = read(tmp_path, log_text(TIMES))
    assert reading.problem is None
    assert [sample.iteration for sample in reading.samples] == [0, 1, 2]
    assert [sample.cold for sample in reading.samples] == [True, False, False]
    assert [sample.values["tokps"] for sample in reading.samples] == [64.0, 128.0, 160.0]
    assert reading.samples[2].values["latency_ms"] == pytest.approx(200.0)
    assert reading.samples[0].values["bandwidth_gbps"] == 1.92
    assert reading.samples[0].evidence.tokens == 32
    assert reading.evidence.tokens_asked == 32
    assert reading.evidence.device == "cpu"
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.NOT_ASKED
    assert set(reading.labels) == {"includes_prefill", "synthetic_weights", "synthetic_tokenizer"}
    assert "ttft_ms" not in reading.samples[0].values


def test_the_profiled_sample_of_the_compiled_arm_is_no_row(tmp_path: Path) -> None:
    text = log_text((*TIMES, 0.80), compiled=True)
    (tmp_path / "i").mkdir()
    write_trace(tmp_path / "i" / "profile.json", decode_trace(31))
    reading = read(tmp_path, text, arm=Arm.SUBJECT)
    assert reading.problem is None
    assert len(reading.samples) == 3
    assert not any(sample.cold for sample in reading.samples)
    assert reading.evidence.extra["profiled_sample"] == {"seconds": 0.8, "tokps": 40.0}
    proof = reading.evidence.compile
    assert proof is not None
    assert proof.decision is CompileDecision.COMPILED
    assert proof.facts["compile_s"] == 7.31


def test_a_compiled_run_that_ends_before_its_profiled_sample_proves_nothing(tmp_path: Path) -> None:
    text = log_text((*TIMES, 0.8), compiled=True)
    cut = text[: text.index("Time for inference 4")]
    (tmp_path / "i").mkdir()
    write_trace(tmp_path / "i" / "profile.json", decode_trace(31))
    reading = read(tmp_path, cut, arm=Arm.SUBJECT)
    assert len(reading.samples) == 3
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.UNKNOWN


def test_a_compiled_run_that_never_reports_compiling_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    write_trace(tmp_path / "i" / "profile.json", decode_trace(31))
    reading = read(tmp_path, log_text((*TIMES, 0.8)), arm=Arm.SUBJECT)
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.UNKNOWN


def test_without_a_trace_nothing_is_proved(tmp_path: Path) -> None:
    reading = read(tmp_path, log_text((*TIMES, 0.8), compiled=True), arm=Arm.SUBJECT)
    assert len(reading.samples) == 3
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.UNKNOWN
    assert "no trace" in reading.evidence.compile.reason


@pytest.mark.parametrize("cut", ["Time for inference 3: 0.2", "Bandwidth achieved: 4.8"])
def test_a_line_cut_short_is_a_problem_and_the_samples_before_it_stay(
    tmp_path: Path, cut: str
) -> None:
    text = log_text(TIMES)
    end = text.rindex(cut) + len(cut)
    reading = read(tmp_path, text[:end])
    assert [sample.iteration for sample in reading.samples] == [0, 1]
    assert reading.problem is not None
    assert "middle of a line" in reading.problem


def test_a_log_that_ends_between_the_two_lines_of_a_sample(tmp_path: Path) -> None:
    text = log_text(TIMES)
    reading = read(tmp_path, text[: text.rindex("Bandwidth")])
    assert len(reading.samples) == 2
    assert reading.problem == "the output ends inside the block of sample 3"


@pytest.mark.parametrize("text", [b"", b"\x00\xff\xfe\n" * 50, b"\n\n\n", b"x" * 300_000])
def test_no_sample_at_all_is_said_in_words(tmp_path: Path, text: bytes) -> None:
    reading = read(tmp_path, text)
    assert reading.samples == ()
    assert reading.problem


def test_a_missing_log_is_a_problem(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    reading = ADAPTER.read(setup(), point, invocation(tmp_path / "i"))
    assert reading.samples == ()
    assert reading.problem is not None
    assert "stdout.log" in reading.problem


FORGED = "\n".join(block(2, 0.01, 32))


@pytest.mark.parametrize(
    "texts",
    [
        ["\n".join(block(1, 0.01, 32))],  # the same number as the real one that follows
        [FORGED],  # a later one too early
        ["a", "b", "\n".join(block(2, 0.01, 32))],  # an earlier one again
        ["a", "b", "\n".join(block(4, 0.01, 32))],  # more than were asked for
        ["Time for inference 1: 0.01 sec total, 3200.00 tokens/sec"],  # half a block
    ],
)
def test_text_that_looks_like_a_result_is_never_taken_for_one(
    tmp_path: Path, texts: list[str]
) -> None:
    reading = read(tmp_path, log_text(TIMES, texts=texts))
    assert reading.samples == ()
    assert reading.problem


@pytest.mark.parametrize(
    "text",
    [
        "I say: Time for inference 1: 0.01 sec total, 3200.00 tokens/sec",
        "Time for inference 1: 0.01 sec total, 3200.00 tokens/sec ...",
        "Time for inference 1: inf sec total, nan tokens/sec",
        "==========\nAverage tokens/sec: 9999.00\nGenerated tokens: 7",
        "a\rTime for inference 1: 0.01 sec total, 3200.00 tokens/sec",
        "\x1b[2J\x00\x85\u2028Average tokens/sec: 1.00",
        "x" * (3 * LONGEST_LINE),
        "x" * LONGEST_LINE,
    ],
)
def test_text_that_only_resembles_a_result_does_no_harm(tmp_path: Path, text: str) -> None:
    reading = read(tmp_path, log_text(TIMES, texts=["a", text]))
    assert reading.problem is None
    assert len(reading.samples) == 3


def test_a_forged_block_in_the_last_text_of_a_killed_run_breaks_the_order(tmp_path: Path) -> None:
    text = log_text(TIMES, texts=["a", "\n".join(block(3, 0.01, 32)) + "\n"])
    killed = text[: text.index("Time for inference 2")]
    assert read(tmp_path, killed).samples == ()


def test_time_and_rate_must_fit_the_tokens_asked_for(tmp_path: Path) -> None:
    text = log_text(TIMES).replace("0.25 sec total", "0.35 sec total")
    reading = read(tmp_path, text)
    assert reading.samples == ()
    assert "is not 32 tokens" in str(reading.problem)


def test_the_average_must_be_that_of_the_samples(tmp_path: Path) -> None:
    text = log_text(TIMES)
    average = text[text.index("Average") :].split("\n")[0]
    reading = read(tmp_path, text.replace(average, "Average tokens/sec: 120.00"))
    assert reading.samples == ()
    assert "120.00" in str(reading.problem)


def test_an_average_after_too_few_samples_is_a_contradiction(tmp_path: Path) -> None:
    reading = read(tmp_path, log_text(TIMES[:2]))
    assert reading.samples == ()
    assert reading.problem is not None


@pytest.mark.parametrize(
    ("line", "other"), [("Generated tokens: 32", "33"), ("Batch Size: 1", "2")]
)
def test_the_script_must_have_done_what_it_was_asked(tmp_path: Path, line: str, other: str) -> None:
    changed = line.rsplit(" ", 1)[0] + " " + other
    reading = read(tmp_path, log_text(TIMES).replace(line, changed))
    assert reading.samples == ()
    assert "was asked for" in str(reading.problem)


def test_bandwidth_must_come_from_one_model(tmp_path: Path) -> None:
    text = log_text(TIMES).replace("Bandwidth achieved: 3.84", "Bandwidth achieved: 3.90")
    assert "bandwidth" in str(read(tmp_path, text).problem)


def test_the_token_rule_is_read_from_the_commit(tmp_path: Path) -> None:
    unknown = NEW_SCRIPT.replace("y.size(-1) - prompt_length", "count(y)")
    reading = read(tmp_path, log_text(TIMES), script=unknown)
    assert reading.samples[0].evidence.tokens is None
    assert "not known" in str(reading.evidence.extra["token_rule"])
    # Without knowing what is counted, the time comes from the printed time.
    assert reading.samples[1].values["latency_ms"] == 250.0


def test_gpu_memory_proves_the_device_of_a_commit_that_does_not_print_it(tmp_path: Path) -> None:
    lines = log_text(TIMES).replace("Using device=cpu\n", "").splitlines()
    old = [line for line in lines if not line.startswith(("Batch", "Prompt", "Generated", "FLOPS"))]
    silent = "\n".join(old) + "\n"
    assert read(tmp_path / "a", silent, script=OLD_SCRIPT).evidence.device is None
    on_gpu = silent.replace("Memory used: 0.00", "Memory used: 14.21")
    assert read(tmp_path / "b", on_gpu, script=OLD_SCRIPT).evidence.device == "cuda"
    claims_gpu = log_text(TIMES).replace("device=cpu", "device=cuda")
    assert read(tmp_path / "c", claims_gpu).evidence.device is None


def test_latency_uses_the_figure_with_the_smaller_rounding_error() -> None:
    assert latency_ms(Block(1, 0.19, 168.72, 5.0), 32) == pytest.approx(1000 * 32 / 168.72)
    assert latency_ms(Block(1, 27.12, 1.18, 0.04), 32) == 27120.0


def test_a_rate_that_two_decimals_show_as_nothing_is_left_out(tmp_path: Path) -> None:
    text = log_text((9000.0, 9000.0, 9000.0))
    reading = read(tmp_path, text)
    assert reading.problem is None
    assert set(reading.samples[0].values) == {"latency_ms"}


def test_reading_a_huge_line_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "stdout.log"
    with path.open("wb") as stream:
        for _ in range(64):
            stream.write(b"y" * (1 << 20))
        stream.write(b"\n" + log_text(TIMES).encode())
    log = read_log(path, asked=3)
    assert len(log.blocks) == 3
