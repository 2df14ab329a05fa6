"""Running a script unmodified, timing its phases, and what is believed of the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpt_fast_files import NEW_SCRIPT, checkout, invocation, log_text, setup

from adapters.gpt_fast import ADAPTER, launch
from adapters.gpt_fast.launched import LAUNCHED, read_launched
from adapters.gpt_fast.stand_ins.sentencepiece import SentencePieceProcessor
from adapters.gpt_fast.stand_ins.tiktoken import Encoding
from adapters.gpt_fast.stand_ins.tiktoken.load import load_tiktoken_bpe
from adapters.gpt_fast.synthetic import sentencepiece_model, tiktoken_ranks
from reprokit.adapter import Reading

SCRIPT = """
import sys, time
from neighbour import VALUE
def decode_n_tokens(model, num_new_tokens, callback=None):
    time.sleep(0.02)
    return [VALUE] * num_new_tokens
def generate(n):
    time.sleep(0.001)
    return decode_n_tokens(None, n)
def main():
    global generated
    generated = [generate(4), generate(4)]
    print(__name__, sys.argv, __file__)
if __name__ == '__main__':
    main()
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", ["/launcher", *sys.path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    (tmp_path / "neighbour.py").write_text("VALUE = 7")
    path = tmp_path / "generate.py"
    path.write_text(SCRIPT)
    yield path
    sys.modules.pop("neighbour", None)


def test_a_script_runs_as_the_one_that_python_was_given(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch.run_script(script, ["--compile"], None)
    assert capsys.readouterr().out == f"__main__ {[str(script), '--compile']} {script}\n"
    assert sys.path[0] == str(script.parent), "not the launcher's own folder"
    assert sys.modules["__main__"].generated == [[7] * 4] * 2


def test_phases_are_split_where_the_decode_loop_begins(script: Path) -> None:
    timer = launch.PhaseTimer("cpu")
    launch.run_script(script, [], timer)
    found = timer.report()
    assert found["problem"] is None
    assert [each["decode_steps"] for each in found["samples"]] == [4, 4]
    for each in found["samples"]:
        assert 1 <= each["prefill_ms"] < 20 <= each["decode_ms"]
    assert sys.modules["__main__"].generated == [[7] * 4] * 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def generate(", "def produce(", "has no functions generate and decode_n_tokens"),
        ("num_new_tokens", "amount", "does not say how many steps"),
        ("return decode_n_tokens(None, n)", "return [7] * n", "never called"),
    ],
)
def test_phases_that_cannot_be_split_are_said_so(
    script: Path, old: str, new: str, words: str
) -> None:
    script.write_text(SCRIPT.replace(old, new).replace("= [generate(4), generate(4)]", "= []"))
    timer = launch.PhaseTimer("cpu")
    launch.run_script(script, [], timer)
    assert words in timer.report()["problem"]


def run_main(tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    report = tmp_path / "launched.json"
    arguments = [
        "launch.py", f"--report={report}", "--harness=/nowhere", "--weights=/none/model.pth",
        "--steps=4", "--device=cpu", script.name, "--prompt=--report=x", "--compile",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.chdir(tmp_path)
    try:
        launch.main()
    finally:
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def test_a_floor_that_cannot_be_measured_costs_no_sample(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "floor", None)
    found = run_main(tmp_path, script, monkeypatch)
    assert sys.argv[1:] == ["--prompt=--report=x", "--compile"]
    assert found["floor"]["ms"] is None
    assert "floor" in found["floor"]["reason"]
    assert found["stand_ins"] == []


def test_the_exception_of_a_script_goes_through_and_leaves_a_report(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.write_text("raise KeyError('its own')\n")
    with pytest.raises(KeyError, match="its own"):
        run_main(tmp_path, script, monkeypatch)
    assert read_launched(tmp_path / "launched.json").floor_ms is None


def read(tmp_path: Path, report: str | None) -> Reading:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    asked = invocation(tmp_path / "i")
    (tmp_path / "i" / "stdout.log").write_text(log_text((0.5, 0.5, 0.5)))
    if report is not None:
        (tmp_path / "i" / LAUNCHED).write_text(report)
    return ADAPTER.read(setup(), point, asked)


def test_the_floor_and_the_stand_ins_come_into_the_evidence(tmp_path: Path) -> None:
    floor = {"ms": 12.5, "bytes": 3, "bandwidth_gbps": 1.0, "method": "m", "reason": None}
    report = {"floor": floor, "stand_ins": ["sentencepiece"], "phases": None}
    reading = read(tmp_path, json.dumps(report))
    assert reading.evidence.floor_ms == 12.5
    assert reading.evidence.extra["floor"] == floor
    assert "stand_in_tokenizer" in reading.labels
    assert [sample.evidence.log_end for sample in reading.samples] == sorted(
        {sample.evidence.log_end or 0 for sample in reading.samples}
    )


@pytest.mark.parametrize(
    "report",
    [
        None, "", "[]", "null", "{", '{"floor": 3, "stand_ins": 4, "phases": 5}',
        '{"floor": {"ms": "12"}}', '{"floor": {"ms": NaN}}', '{"floor": {"ms": -1}}',
        '{"floor": {"ms": true}}', '{"phases": {"samples": [{"prefill_ms": 1}]}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_report_that_is_damaged_gives_no_floor_and_costs_no_sample(
    tmp_path: Path, report: str | None
) -> None:
    reading = read(tmp_path, report)
    assert len(reading.samples) == 3
    assert reading.problem is None
    assert reading.evidence.floor_ms is None
    found = read_launched(tmp_path / "i" / LAUNCHED).phases
    assert found.samples == ()
    assert found.problem


@pytest.mark.parametrize("wrong", [{"decode_steps": 0}, {"decode_ms": -1.0}, {"prefill_ms": 0.0}])
def test_phases_that_are_no_times_are_not_believed(tmp_path: Path, wrong: dict[str, Any]) -> None:
    sample = {"prefill_ms": 5.0, "decode_ms": 60.0, "decode_steps": 31}
    path = tmp_path / LAUNCHED
    path.write_text(json.dumps({"phases": {"samples": [sample, sample], "problem": None}}))
    good = read_launched(path).phases
    assert [each.cold for each in good.samples] == [True, False]
    path.write_text(json.dumps({"phases": {"samples": [sample, {**sample, **wrong}]}}))
    assert read_launched(path).phases.samples == ()


PROMPT = "Hello, my name is"


def test_the_stand_in_reads_a_synthetic_tokenizer_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(sentencepiece_model(600, PROMPT))
    tokens = SentencePieceProcessor(model_file=str(path))
    assert tokens.encode(PROMPT) == [259, 260, 261, 262, 263]
    assert tokens.decode([1, *tokens.encode(PROMPT)]) == PROMPT
    assert tokens.DecodeIds(tokens.EncodeAsIds("caf\u00e9 !")) == "caf\u00e9 !"
    assert (tokens.vocab_size(), tokens.bos_id(), tokens.eos_id(), tokens.encode("")) == (
        600, 1, 2, [],
    )  # fmt: skip
    assert all(isinstance(tokens.decode([at]), str) for at in range(600))
    path.write_bytes(sentencepiece_model(600, PROMPT).replace(b"w000599", b"another"))
    with pytest.raises(ValueError, match="install sentencepiece"):
        SentencePieceProcessor(str(path))


def test_the_stand_in_of_tiktoken_reads_a_synthetic_table(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"".join(tiktoken_ranks(700, PROMPT)))
    ranks = load_tiktoken_bpe(str(path))
    tokens = Encoding(
        "t", pat_str="", mergeable_ranks=ranks, special_tokens={"<|end|>": len(ranks)}
    )
    assert len(tokens.encode(PROMPT)) == 5
    assert tokens.decode(tokens.encode("caf\u00e9, my!")) == "caf\u00e9, my!"
    assert tokens.decode([len(ranks)]) == "<|end|>"
