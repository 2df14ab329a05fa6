"""Overlays: swept packages put before those of an existing interpreter, and proof that they are."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Machine, Result, make_machine
from dummy_wheels import only_pips_configuration, write_wheel
from host_interpreter import install, make_host, site_of

from reprokit.cache import CacheLayout
from reprokit.envs.disk import remove_tree
from reprokit.envs.host_probe import HostFindings, probe_host
from reprokit.envs.overlay import BuiltOverlay, Overlays
from reprokit.envs.overlay_wheels import OverlayWheels
from reprokit.envs.steps import StepError
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv, WheelFolders
from reprokit.progress import nobody
from reprokit.records import RowStatus
from reprokit.stack import ReadyPoint

pytestmark = pytest.mark.integration


class Bench:
    """An interpreter, a folder of wheels, and overlays made from it."""

    def __init__(self, root: Path) -> None:
        self.root, self.wheels = root, root / "wheels, all"
        self.cache = CacheLayout(root / "cache")
        self.python = make_host(root / "host")
        self.wheels.mkdir()
        self.overlays = self.fresh()

    def fresh(self) -> Overlays:
        """Forget what was resolved."""
        folders = WheelFolders((self.wheels,))
        wheels = OverlayWheels(
            lambda: Uv.here(self.cache, wheels=folders), TorchIndex(None),
            exclude_newer=None, build_from_source=(),
        )  # fmt: skip
        return Overlays(self.cache, wheels, nobody)

    def has(self, name: str, version: str, *requires: str, **files: str) -> None:
        """Install something in the interpreter."""
        install(self.python, self.wheel(self.root / "own", name, version, *requires, **files))

    def offers(self, name: str, version: str, *requires: str, **files: str) -> Path:
        """Put a wheel into the folder."""
        return self.wheel(self.wheels, name, version, *requires, **files)

    @staticmethod
    def wheel(folder: Path, name: str, version: str, *requires: str, **files: str) -> Path:
        content = {path.replace("__slash__", "/") + ".py": text for path, text in files.items()}
        return write_wheel(folder, name, version, requires=requires, files=content or None)

    def base(self, *names: str) -> HostFindings:
        return probe_host(self.python, names)

    def ensure(self, *swept: str, saved: str | None = None) -> BuiltOverlay:
        return self.overlays.ensure(swept, self.base("torch", "triton"), "p", saved=saved)

    def refused(self, *swept: str, saved: str | None = None) -> StepError:
        with pytest.raises(StepError) as caught:
            self.ensure(*swept, saved=saved)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    only_pips_configuration(tmp_path, nothing, monkeypatch)
    made = Bench(tmp_path)
    yield made
    remove_tree(tmp_path / "cache")


def test_only_the_swept_wheel_is_put_first_and_imported(bench: Bench) -> None:
    bench.has("torch", "2.11.0", "triton==3.6.0")
    bench.has("triton", "3.6.0")
    bench.offers("triton", "3.4.0")
    made = bench.ensure("triton==3.4.0")
    site = Path(made.record.folder)
    assert made.record.distributions == {"triton": "3.4.0"}
    assert made.record.imported == {"triton": "triton/__init__.py"}
    facts = made.findings.probe.triton or {}
    assert (facts["distribution"], facts["version"]) == ("3.4.0", "3.4.0")
    assert facts["file"] == str(site.resolve() / "triton" / "__init__.py")
    assert made.findings.probe.version("torch") == "2.11.0"
    assert made.findings.probe.version("triton") == "3.4.0"
    assert "the interpreter has 3.6.0" in made.notes[0]
    again = bench.ensure("triton==3.4.0")
    assert (again.key, again.notes) == (made.key, made.notes)


def test_digests_of_the_interpreters_own_files_are_taken_over(bench: Bench) -> None:
    bench.has("torch", "2.11.0")
    bench.offers("triton", "3.4.0")
    base = bench.base("torch")
    made = bench.overlays.ensure(("triton==3.4.0",), base, "p")
    assert made.findings.installed["torch"] == base.installed["torch"]
    assert made.findings.installed["torch"].content_sha256
    assert made.findings.installed["triton"].content_sha256


def test_what_it_requires_comes_along_only_where_the_interpreter_lacks_it(bench: Bench) -> None:
    bench.has("fits", "1.5")
    bench.has("old", "1.0")
    bench.offers(
        "swept", "2.0", "fits>=1", "old>=2", "absent", "never; sys_platform == 'win32'",
        "nice; extra == 'all'",
    )  # fmt: skip
    bench.offers("old", "2.0", "deeper")
    bench.offers("absent", "1.0")
    bench.offers("deeper", "1.0")
    held = bench.ensure("swept==2.0").record.distributions
    assert held == {"swept": "2.0", "old": "2.0", "absent": "1.0", "deeper": "1.0"}


def test_torch_is_never_replaced_for_another_packages_sake(bench: Bench) -> None:
    bench.has("torch", "2.11.0")
    bench.offers("torch", "2.8.0")
    bench.offers("torchvision", "0.23.0", "torch==2.8.0")
    assert bench.ensure("torchvision==0.23.0").record.distributions == {"torchvision": "0.23.0"}


def test_a_swept_version_is_kept_whatever_another_swept_package_asks_for(bench: Bench) -> None:
    bench.has("torch", "2.11.0", "triton==3.6.0")
    bench.offers("torch", "2.8.0", "triton==3.4.0")
    for version in ("3.3.1", "3.4.0"):
        bench.offers("triton", version)
    both = bench.ensure("torch==2.8.0", "triton==3.3.1").record.distributions
    assert both == {"torch": "2.8.0", "triton": "3.3.1"}
    alone = bench.ensure("torch==2.8.0").record.distributions
    assert alone == {"torch": "2.8.0", "triton": "3.4.0"}


def test_a_wheel_for_another_python_is_named(bench: Bench) -> None:
    made = bench.offers("triton", "3.4.0")
    made.rename(made.with_name("triton-3.4.0-cp39-cp39-manylinux_2_17_x86_64.whl"))
    error = bench.refused("triton==3.4.0")
    assert error.code == "overlay_unresolved"
    assert "no wheels with a matching Python" in error.what
    assert "--find-links" in error.hint
    assert bench.refused("triton==9.9").code == "overlay_unresolved"


def test_a_wheel_that_was_replaced_is_refused(bench: Bench) -> None:
    bench.offers("triton", "3.4.0")
    lock = bench.ensure("triton==3.4.0").lock.text()
    remove_tree(bench.root / "cache")
    shutil.rmtree(bench.root / "uv-cache")
    bench.offers("triton", "3.4.0", triton__slash____init__="__version__ = '3.4.0'  # mine")
    error = bench.refused("triton==3.4.0", saved=lock)
    assert error.code == "overlay_not_installed"
    assert "not the one that its lock names" in error.what
    assert bench.refused("triton==3.4.0", saved="nonsense").code == "overlay_unresolved"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('needs a newer\\nglibc')", "raises RuntimeError: needs a newer glibc"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("__version__ = '3.5.0'", "holds triton 3.4.0, and import triton loads 3.5.0"),
    ],
)
def test_an_overlay_that_does_not_import_fails(bench: Bench, text: str, said: str) -> None:
    bench.offers("triton", "3.4.0", triton__slash____init__=text)
    error = bench.refused("triton==3.4.0")
    assert error.code == "overlay_not_imported"
    assert said in error.what


def test_an_import_that_kills_the_interpreter_is_told(bench: Bench) -> None:
    bench.offers("triton", "3.4.0", triton__slash____init__="import os; os.kill(os.getpid(), 11)")
    with pytest.raises(Exception, match=r"importing triton from the overlay.*(-11|SIGSEGV)"):
        bench.ensure("triton==3.4.0")


def test_a_package_that_gets_in_before_the_path_is_noticed(bench: Bench) -> None:
    bench.has("triton", "3.6.0")
    bench.offers("triton", "3.4.0")
    site = site_of(bench.python)
    (site / "first.pth").write_text(f"import sys; sys.path.insert(0, {str(site)!r})\n")
    error = bench.refused("triton==3.4.0")
    assert error.code == "overlay_not_imported"
    assert "does not load the overlay" in error.what


def test_a_namespace_that_the_interpreter_closes_is_noticed(bench: Bench) -> None:
    bench.has("nvidia", "1.0")
    bench.offers("nvidia-cublas", "2.0", nvidia__slash__cublas__slash____init__="")
    error = bench.refused("nvidia-cublas==2.0")
    assert error.code == "overlay_not_imported"


def test_what_came_along_and_cannot_be_found_is_no_success(bench: Bench) -> None:
    bench.has("nvidia", "1.0", nvidia__slash____init__="raise ImportError('not today')")
    bench.offers("triton", "3.4.0", "nvidia-cublas")
    bench.offers("nvidia-cublas", "2.0", nvidia__slash__cublas__slash____init__="")
    error = bench.refused("triton==3.4.0")
    assert error.code == "overlay_not_imported"
    assert "looking for it raises ImportError: not today" in error.what


def test_an_altered_overlay_is_made_anew_and_said_to_be(bench: Bench) -> None:
    bench.offers("triton", "3.4.0")
    made = bench.ensure("triton==3.4.0")
    module = Path(made.record.folder) / "triton" / "__init__.py"
    module.parent.chmod(0o755)
    module.unlink()
    module.write_text("__version__ = '3.4.0'  # faster\n")
    again = bench.ensure("triton==3.4.0")
    assert any("was altered and was made anew" in note for note in again.notes)
    assert "faster" not in module.read_text()


def test_one_that_was_left_half_done_is_made_again(bench: Bench) -> None:
    bench.offers("triton", "3.4.0")
    made = bench.ensure("triton==3.4.0")
    (Path(made.record.folder).parent / "marker.json").write_text("{")
    again = bench.ensure("triton==3.4.0")
    assert again.notes == made.notes


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path, uuid.uuid4().hex)


def verify(machine: Machine, *more: str, **options: object) -> Result:
    python = make_host(machine.root / "host", dummy="1.0")
    claim = str(machine.write_claim(**options))  # type: ignore[arg-type]
    return machine.run("verify", claim, "--stack", f"host:{python}", "--json", *more)


def ready(run: Path, point: str) -> ReadyPoint:
    return ReadyPoint.model_validate_json((run / "points" / point / "stack.json").read_text())


def test_a_sweep_measures_the_interpreters_own_version_and_overlays(machine: Machine) -> None:
    missing = "2.0,9.9"
    result = verify(machine, f"--sweep=dummy=1.0,{missing}")
    assert result.code in {0, 3}, result.err
    own, other, gone = (ready(result.path(), f"dummy-{each}") for each in ("1.0", "2.0", "9.9"))
    assert own.overlay is None
    assert other.overlay is not None
    assert other.probe is not None
    assert other.probe.version("dummy") == "2.0"
    assert (other.locked, other.lock_sha256) == (False, None)
    assert own.identity != other.identity
    assert gone.failed == "overlay_unresolved"
    statuses = {(row.point, row.status) for row in result.rows()}
    assert statuses == {
        ("dummy-1.0", RowStatus.OK), ("dummy-2.0", RowStatus.OK),
        ("dummy-9.9", RowStatus.ENVIRONMENT_FAILED),
    }  # fmt: skip
    for path in result.path().glob("invocations/dummy-2.0*/spec.json"):
        assert json.loads(path.read_text())["env"]["PYTHONPATH"] == other.overlay.folder
    for path in result.path().glob("invocations/dummy-1.0*/spec.json"):
        assert "PYTHONPATH" not in json.loads(path.read_text())["env"]
    report = (result.path() / "report.md").read_text()
    assert "import dummy loads dummy/" in report.replace("\\", "").replace("`", "")


def test_the_benchmark_imports_the_overlay_and_what_it_alters_there_is_noticed(
    machine: Machine,
) -> None:
    result = verify(
        machine, "--sweep=dummy=1.0,2.0",
        options={"scenarios": {"dummy-2.0*__subject__01": "alter_environment"}},
    )  # fmt: skip
    statuses = {(row.point, row.status) for row in result.rows()}
    assert ("dummy-1.0", RowStatus.OK) in statuses
    assert {status for point, status in statuses if point == "dummy-2.0"} == {
        RowStatus.CONTAMINATED
    }


def test_a_prepared_overlay_needs_no_index_any_more(machine: Machine) -> None:
    python = make_host(machine.root / "host", dummy="1.0")
    claim = str(machine.write_claim())
    done = machine.run("prepare", claim, "--stack", f"host:{python}", "--sweep=dummy=1.0,2.0")
    assert done.code == 0, done.err
    shutil.rmtree(machine.root / "wheels")
    shutil.rmtree(machine.root / "uv-cache")
    run = done.out.strip()
    result = machine.run("run", run)
    assert result.code == 0, result.err
    assert machine.run("score", run).code in {0, 3}


def test_a_folder_of_wheels_stands_in_for_an_index(machine: Machine) -> None:
    more = machine.root / "more"
    write_wheel(more, "dummy", "3.0")
    result = verify(machine, "--sweep=dummy=1.0,3.0", f"--find-links={more}")
    assert {row.status for row in result.rows()} == {RowStatus.OK}, result.err
