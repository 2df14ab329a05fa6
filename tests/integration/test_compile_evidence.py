"""What torch really tells of compilations with known behaviour, all in one process, on the CPU.

Every case is preceded by `forget`, so a count that leaks from one case into the next fails here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch_environment import TorchEnvironment

from adapters.hf_harness import ADAPTER

pytestmark = pytest.mark.integration

SCRIPT = """
import functools, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch, compile_watch
from compile_dump import write_dump
from compile_proof import decide

torch.set_num_threads(1)
net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.Linear(64, 64))
same = [torch.randn(8, 64) for _ in range(5)]
shapes = [torch.randn(*shape) for shape in ((8, 64), (16, 64), (16, 64), (16, 64), (16, 64))]
late = [torch.randn(*shape) for shape in ((8, 64), (8, 64), (16, 64), (16, 64), (16, 64))]
ranks = [torch.randn(*shape, 64) for shape in ((4,), (2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2))]

def broken(x):
    x = net(x)
    torch._dynamo.graph_break()
    return net(x)

@torch.compiler.disable
def as_it_is(x):
    for _ in range(30):
        x = net(x)
    return x

def refuse(graph, inputs):
    raise RuntimeError("no backend")

def case(name, function, inputs, call=None, **options):
    compile_watch.forget()
    watch = compile_watch.CompileWatch()
    compiled = torch.compile(function, **options)
    run = call or compiled
    with torch.inference_mode():
        for x in inputs[:2]:
            run(x)
        watch.window_opens()
        for x in inputs[2:]:
            run(x)
        watch.window_closes()
        last = functools.partial(run, inputs[-1])
        seen = watch.observe(lambda: last, steps=1, device="cpu", graphs_asked=False)
    write_dump(Path(name + ".json"), seen)
    decision, reason = decide(seen)
    print(json.dumps({"case": name, "decision": decision, "reason": reason, **seen.facts()}))

case("healthy", net, same)
case("again", net, same)
case("break", broken, same)
case("outside", lambda x: as_it_is(net(x)) + 1, same)
case("recompile", net, shapes)
case("window", net, late)
case("unused", net, same, call=net)
torch._dynamo.config.suppress_errors = True
case("suppressed", net, same, backend=refuse)
torch._dynamo.config.suppress_errors = False
if hasattr(torch._dynamo.config, "recompile_limit"):
    torch._dynamo.config.recompile_limit = 1
else:
    torch._dynamo.config.cache_size_limit = 1
case("limit", net, ranks)
torch.compiler.set_stance("force_eager")
case("forced", net, same)
"""


@pytest.fixture(scope="module")
def seen(
    torch_environment: TorchEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, Any]], Path]:
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "cases.py").write_text(SCRIPT)
    argv = (str(torch_environment.python), "-s", "cases.py", str(ADAPTER.builtin_source()))
    done = torch_environment.run(*argv, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["case"]: line for line in lines}, folder


@pytest.mark.parametrize(
    ("case", "decision", "told"),
    [
        ("healthy", "compiled", "1 calls of compiled graphs"),
        ("again", "compiled", "1 calls of compiled graphs"),
        ("break", "compiled", "2 calls of compiled graphs"),
        ("outside", "partly", "aten::"),
        ("recompile", "compiled", "1 calls of compiled graphs"),
        ("window", "partly", "inside the timed window"),
        ("unused", "fell_back", "nothing was compiled"),
        ("suppressed", "fell_back", "suppress_errors is set"),
        ("limit", "partly", "recompile limit"),
        ("forced", "fell_back", "force_eager"),
    ],
)
def test_each_behaviour_has_its_decision(seen: Any, case: str, decision: str, told: str) -> None:
    found = seen[0][case]
    assert found["decision"] == decision, found["reason"]
    assert told in found["reason"]


def test_counts_are_those_of_the_case_alone(seen: Any) -> None:
    cases = seen[0]
    assert cases["healthy"]["unique_graphs"] == cases["again"]["unique_graphs"] == 1
    assert cases["healthy"]["graphs"] == cases["again"]["graphs"], "the same graph, the same key"
    assert cases["healthy"]["recompilations"] == cases["again"]["recompilations"] == 0
    assert (cases["break"]["graph_breaks"], cases["break"]["unique_graphs"]) == (1, 2)
    assert cases["break"]["graphs"] == dict.fromkeys(cases["healthy"]["graphs"], 2)
    assert cases["recompile"]["recompilations"] == 1
    assert cases["recompile"]["graph_breaks"] == 0
    assert cases["window"]["compiled_in_window"]["compilations"] == 1
    assert cases["outside"]["share"] < 0.5 < cases["healthy"]["share"]


def test_the_dump_holds_graphs_code_and_settings(seen: Any) -> None:
    cases, folder = seen
    dump = json.loads((folder / "healthy.json").read_text())
    assert dump["graphs"] == cases["healthy"]["graphs"]
    assert len(dump["compilations"]) == 1
    assert all(len(code["sha256"]) == 64 for code in dump["generated_code"])
    assert dump["generated_code"]
    assert dump["settings"]["torch._dynamo.config.suppress_errors"] is False
    assert "TORCHINDUCTOR_CACHE_DIR" in dump["environment"]
    again = json.loads((folder / "again.json").read_text())
    assert again["generated_code"] == dump["generated_code"], "code of other cases is forgotten"
