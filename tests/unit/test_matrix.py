"""TR147 as a matrix: its row counts, its claims, and that the committed files are those."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.claim.model import ExpectEquivalence, ExpectGain, ExpectStability, ExpectValue
from reprokit.claim.source import parse_document
from reprokit.cli.main import invoke
from reprokit.errors import UsageError
from reprokit.matrix.claims import MatrixClaim, make_claims
from reprokit.matrix.index import index_text, table_lines
from reprokit.matrix.load import known_matrices, load_matrix, read_matrix
from reprokit.matrix.model import Matrix
from reprokit.matrix.printed import expectation, first_number
from reprokit.matrix.rows import count_rows
from reprokit.matrix.selection import Selection, select
from reprokit.matrix.text import flow
from reprokit.sweep import make_plan

COMMITTED = Path(__file__).parents[2] / "claims" / "tr147"
EVERYTHING = Selection()
TEXT = (files("reprokit.matrix") / "tr147.yaml").read_text(encoding="utf-8")

PUBLISHED = {
    ("v1", "ada"): 15_240,
    ("v2", "E1"): 3_240, ("v2", "E2"): 2_880, ("v2", "E5"): 720,
    ("v3", "E3"): 1_440,
    ("v4a", "ada"): 5_400, ("v4a", "a100"): 5_400,
    ("v4b", "ada"): 3_600, ("v4b", "a100"): 3_600,
    ("v4c", "triton-3.3.1"): 3_600, ("v4c", "triton-3.4.0"): 3_600, ("v4c", "triton-3.6.0"): 3_600,
    ("gpt-fast", "triton-3.3.1"): 30, ("gpt-fast", "triton-3.4.0"): 30,
    ("gpt-fast", "triton-3.6.0"): 30,
    ("gpt-fast-code", "pinned"): 30, ("gpt-fast-code", "head"): 50,
}  # fmt: skip
"""TR147, title page, SS4.4 and SS13.2."""


@cache
def study() -> Matrix:
    return load_matrix("tr147")


@cache
def claims() -> tuple[MatrixClaim, ...]:
    return make_claims(study(), EVERYTHING)


@cache
def committed() -> dict[str, LoadedClaim]:
    """Load every committed claim, which checks it."""
    return {path.stem: load_claim(path) for path in sorted(COMMITTED.rglob("*.yaml"))}


def changed(old: str, new: str, count: int = 1) -> Matrix:
    """Read the matrix with a part of its text changed."""
    assert old in TEXT
    return read_matrix(TEXT.replace(old, new, count), "changed.yaml")


def test_the_rows_are_the_published_ones_and_v1_is_not_derivable() -> None:
    counts = {(count.stage, count.lot): count for count in count_rows(study(), EVERYTHING)}
    assert {key: count.published for key, count in counts.items()} == PUBLISHED
    for key, count in counts.items():
        if key == ("v1", "ada"):
            assert count.agreement == "not derivable"
            assert count.remark
            assert count.planned != count.published
        else:
            assert count.agreement == "agrees"
            assert count.planned == count.published, key
    assert len(study().stages["v1"].lot("ada").models) == 7


def test_the_total_is_that_of_the_study() -> None:
    counts = count_rows(study(), EVERYTHING)
    primary = sum(count.published for count in counts if count.primary)
    assert primary == study().total == 52_410
    last = next(line for line in table_lines(study(), counts, claims()) if "own total" in line)
    assert last.split()[:2] == ["primary", "all"]
    assert "52,410" in last


@pytest.mark.parametrize(
    "change",
    [
        ("token_lens: [64, 128, 256]", "token_lens: [64, 128]"),
        ("published: 1440", "published: 1441"),
        ("token_lens: 4", "token_lens: 5"),
        ("rows_per_cell: {compiled: 5}", "rows_per_cell: {compiled: 25}"),
        ("protocol: {invocations: 5, samples: 12", "protocol: {invocations: 5, samples: 10"),
    ],
)
def test_a_count_that_is_not_the_product_is_said_to_differ(change: tuple[str, str]) -> None:
    matrix = changed(*change, count=100)
    assert "differs" in {count.agreement for count in count_rows(matrix, EVERYTHING)}


def test_the_committed_files_are_byte_for_byte_what_is_written() -> None:
    expected = {claim.path: claim.text.encode() for claim in claims()}
    counts = count_rows(study(), EVERYTHING)
    expected["README.md"] = index_text(study(), counts, claims()).encode()
    found = {
        path.relative_to(COMMITTED).as_posix(): path.read_bytes()
        for path in COMMITTED.rglob("*")
        if path.is_file()
    }
    assert found.keys() == expected.keys(), "run reprokit matrix tr147 --out claims/tr147"
    assert [path for path in found if found[path] != expected[path]] == []


def test_writing_twice_gives_the_same() -> None:
    again = make_claims(load_matrix("tr147"), EVERYTHING)
    assert again == claims()
    assert len({claim.id for claim in again}) == len(again)


def test_every_claim_loads_and_is_planned_alone_and_along_its_sweep() -> None:
    assert set(committed()) == {claim.id for claim in claims()}
    for name, loaded in committed().items():
        assert loaded.claim.id == name
        plan = make_plan(loaded, sweeps=())
        assert len(plan.points) == 1
        if loaded.claim.sweep:
            swept = make_plan(loaded, sweeps=tuple(loaded.claim.sweep))
            assert len(swept.points) == len(next(iter(loaded.claim.sweep.values())))


def test_every_claim_says_where_it_is_printed() -> None:
    for name, loaded in committed().items():
        source = loaded.claim.source
        assert source.document == "TR147", name
        assert source.section, name
        assert source.printed, name
        assert loaded.claim.regime is not None
        assert loaded.claim.regime.gpu, name


def test_a_cell_has_60_rows_in_each_arm() -> None:
    for name, loaded in committed().items():
        if loaded.claim.adapter.name == "hf_harness":
            plan = make_plan(loaded, sweeps=())
            assert len(plan.row_ids()) == 60 * 2 * len(plan.cells), name


def test_bounds_of_a_gain_are_the_printed_figure_with_rounding_and_tolerance() -> None:
    gain = committed()["tr147_v4a_ada_qwen2.5-1.5b_prefill_default_gain"].claim
    assert gain.source.printed == "\u221263.25%"
    assert isinstance(gain.expect, ExpectGain)
    assert (gain.expect.at_least, gain.expect.at_most) == (60.245, 66.255)
    slower = committed()["tr147_v4c_triton-3.4.0_prefill_staticcache_default_gain"].claim
    assert isinstance(slower.expect, ExpectGain)
    assert (slower.expect.at_least, slower.expect.at_most) == (-11.545, -5.535)


def test_without_a_tolerance_only_what_rounds_to_the_figure_counts() -> None:
    narrow = changed("gain_tolerance_pp: 3.0", "gain_tolerance_pp: 0.0")
    found = {claim.id: claim for claim in make_claims(narrow, EVERYTHING)}
    text = found["tr147_v4a_ada_qwen2.5-1.5b_prefill_default_gain"].text
    assert "at_least: 63.245" in text
    assert "at_most: 63.255" in text


def test_each_kind_of_figure_is_there() -> None:
    by_id = {name: loaded.claim for name, loaded in committed().items()}
    crash = by_id["tr147_v4b_a100_qwen2.5-7b_kv_decode_reduce-overhead_t8_crash-rate"]
    assert crash.expect == ExpectStability(kind="stability", equals=1.0)
    assert crash.cells["token_len"] == (8,)
    pooled = by_id["tr147_v4b_ada_llama3.1-8b_kv_decode_reduce-overhead_crash-rate"]
    assert pooled.expect == ExpectStability(kind="stability", equals=0.8)
    assert isinstance(
        by_id["tr147_v4a_a100_llama3.2-1b_kv_decode_default_tost"].expect, ExpectEquivalence
    )
    rate = by_id["tr147_gpt-fast-code_head_compiled_tokps"].expect
    assert isinstance(rate, ExpectValue)
    assert (rate.value, rate.unit, rate.statistic) == (106.74, "tok/s", "median")
    kinds = {claim.expect.kind for claim in by_id.values()}
    assert kinds == {"gain", "equivalence", "stability", "value", "invariance", "flip"}


def test_every_conclusion_of_ss9_1_is_a_claim_or_left_out() -> None:
    rows = {
        loaded.claim.source.row["Claim"]
        for loaded in committed().values()
        if loaded.claim.source.section == "SS9.1" and loaded.claim.source.row
    }
    left = {each.figures for each in study().left_out if each.section == "SS9.1"}
    assert len(rows) == 11
    assert left == {"The five-gate protocol works prospectively"}


def test_the_ablation_sweeps_triton_from_its_own() -> None:
    for version in ("3.3.1", "3.4.0", "3.6.0"):
        name = f"tr147_v4c_triton-{version}_prefill_dynamiccache_default_gain"
        plan = make_plan(committed()[name], sweeps=("triton",))
        assert plan.axes["triton"] == ("3.3.1", "3.4.0", "3.6.0")
        assert plan.base["triton"] == version


def test_a_selection_keeps_only_what_it_names() -> None:
    def ids(**names: tuple[str, ...]) -> set[str]:
        asked: dict[str, Any] = {"stages": (), "gpus": (), "models": (), **names}
        return {claim.id for claim in make_claims(study(), select(study(), **asked))}

    everything = {claim.id for claim in claims()}
    assert ids() == everything
    v4c = ids(stages=("v4c",))
    assert v4c == {name for name in everything if name.startswith("tr147_v4c_")}
    assert ids(gpus=("a100",)) == ids(gpus=("a100-sxm4", "a100-sxm4-80gb", "a100-pcie-80gb"))
    awq = ids(models=("qwen2.5-7b-awq",))
    assert awq
    assert all("awq" in name or "large_paths" in name for name in awq)
    assert awq == ids(models=("qwen2.5-7b-awq:float16",), gpus=("ada",))
    fp32 = ids(models=("gpt2-100m:float32",), stages=("v1",))
    assert all("float16" not in name for name in fp32)


def test_a_part_of_the_models_is_not_compared() -> None:
    selection = select(study(), stages=("v3",), gpus=(), models=("qwen2.5-3b",))
    (count,) = count_rows(study(), selection)
    assert (count.planned, count.published, count.agreement) == (720, 1440, "part")


@pytest.mark.parametrize(
    ("option", "word", "known"),
    [("--stage", "v5", "v4c"), ("--gpu", "h100", "ada"), ("--model", "gpt5", "gpt2-25m")],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    option: str, word: str, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["matrix", "tr147", option, word]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert known in said


def test_an_unknown_study_and_an_empty_selection(capsys: pytest.CaptureFixture[str]) -> None:
    assert known_matrices() == ("tr147",)
    assert invoke(["matrix", "tr1"]) == 2
    assert "tr147" in capsys.readouterr().err
    assert invoke(["matrix", "tr147", "--stage", "v1", "--gpu", "a100"]) == 2
    assert invoke(["matrix", "tr147", "--check"]) == 2


def test_the_command_writes_and_then_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "claims"
    asked = ["matrix", "tr147", "--out", str(out), "--stage", "v3"]
    assert invoke([*asked, "--check"]) == 2
    assert invoke(asked) == 0
    assert re.search(r"^v3 +E3 +a100-sxm4 +24 +1,440 +1,440 +32 +agrees$", *_out(capsys))
    assert {path.parent.name for path in out.rglob("*.yaml")} == {"v3"}
    assert not (out / "README.md").exists()
    assert invoke([*asked, "--check"]) == 0


def _out(capsys: pytest.CaptureFixture[str]) -> tuple[str, re.RegexFlag]:
    return capsys.readouterr().out, re.MULTILINE


@pytest.mark.parametrize("damage", ["changed", "missing", "stray"])
def test_check_finds_what_is_not_up_to_date(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["matrix", "tr147", "--out", str(tmp_path)]
    assert invoke(asked) == 0
    victim = tmp_path / claims()[0].path
    if damage == "changed":
        victim.write_bytes(victim.read_bytes().replace(b"\n", b"\r\n"))
    elif damage == "missing":
        victim.unlink()
    else:
        victim.with_name("own.yaml").write_text("schema: x\n", encoding="utf-8")
    capsys.readouterr()
    assert invoke([*asked, "--check"]) == 2
    words = {"changed": "differs", "missing": "missing", "stray": "own.yaml: not of this study"}
    assert words[damage] in capsys.readouterr().err
    assert invoke(asked) == 0
    assert victim.read_bytes() == claims()[0].text.encode()
    assert victim.with_name("own.yaml").exists() == (damage == "stray")


def test_a_folder_that_cannot_be_written_is_the_users_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert invoke(["matrix", "tr147", "--out", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("- [qwen2.5-1.5b, \"81.7%\"]", "- [qwen2.5-9b, \"81.7%\"]", "qwen2.5-9b"),
        ("- [qwen2.5-1.5b, \"81.7%\"]", "- [qwen2.5-1.5b, fast]", "no number"),
        ("- [qwen2.5-1.5b, \"81.7%\"]", "- [qwen2.5-1.5b, \"81.7%\", \"1\"]", "3 cells"),
        ("- [qwen2.5-3b, \"79.3%\"]", "- [qwen2.5-1.5b, \"79.3%\"]", "have the id"),
        ("mode: reduce-overhead, token_len: 64", "mode: max-autotune, token_len: 64", "max-auto"),
        ("mode: reduce-overhead, token_len: 64", "mode: default, token_len: 65", "not in the lot"),
        ("lots: [triton-3.3.1]", "lots: [triton-9]", "0 lots"),
        ("Yes (marginal)", "Perhaps", "Perhaps"),
    ],
)  # fmt: skip
def test_a_matrix_that_contradicts_itself_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        make_claims(changed(old, new), EVERYTHING)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("total: 52410", "total: many", "total"), ("document: TR147", "paper: TR147", "document")],
)
def test_a_matrix_of_another_form_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        changed(old, new)


@pytest.mark.parametrize(
    ("text", "number", "half"),
    [
        ("\u221255.48% (faster)", "-55.48", "0.005"),
        ("+3.16%", "3.16", "0.005"),
        ("-1.6", "-1.6", "0.05"),
        ("1,453.057", "1453.057", "0.0005"),
        ("27.67 [26.88, 28.01], CV 0.0131", "27.67", "0.005"),
        ("60", "60", "0.5"),
    ],
)
def test_a_printed_number_keeps_its_sign_and_its_rounding(
    text: str, number: str, half: str
) -> None:
    found = first_number(text)
    assert (found.number, found.half) == (Decimal(number), Decimal(half))


@pytest.mark.parametrize(
    ("printed", "rate"), [("240/300 errors (0.800)", 0.8), ("0/60 crash", 0.0), ("1.000", 1.0)]
)
def test_a_crash_rate_is_a_rate_or_a_ratio(printed: str, rate: float) -> None:
    found = expectation("crash_rate", printed, statistic="mean", tolerance_pp=0.0)
    assert found == {"kind": "stability", "equals": rate}


words = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2300, exclude_categories=("Cc", "Cs", "Cn")),
    max_size=12,
)
values = st.recursive(
    words
    | st.sampled_from(["no", "on", "1.0", "3.10", "~", "null", "- x", "a: b", "a #b", "=", "0x1"])
    | st.integers(-(10**6), 10**6) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(values)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    assert parse_document(f"value: {flow(value)}\n", "x").data == {"value": value}
