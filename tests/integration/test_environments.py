"""Building, verifying and keeping environments: the real uv, tiny wheels, no network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dummy_wheels import (
    resolved,
    write_wheel,
)

from reprokit.cache import CacheLayout
from reprokit.envs.build import Built, EnvironmentBuilder
from reprokit.envs.disk import remove_tree
from reprokit.envs.interpreter import describe
from reprokit.envs.lock import Lock, parse_lock
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.store import EnvironmentStore, Place, environment_key
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.errors import (
    EnvironmentBuildError,
    TamperedEnvironmentError,
    UsageError,
)
from reprokit.process.tool import ToolResult
from reprokit.progress import nobody

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("offline")]


def _builder(cache: CacheLayout) -> EnvironmentBuilder:
    return EnvironmentBuilder(
        cache, Uv.here(cache), TorchIndex(None), build_from_source=(), observer=nobody
    )


def _built(cache: CacheLayout, *requirements: str) -> Built:
    lock = resolved(cache, *requirements)
    return _builder(cache).ensure(lock, describe(sys.executable), "test")


def _site(built: Built) -> Path:
    return next(built.prefix.glob("lib/*/site-packages"))


def test_an_environment_is_built_once_and_reused(cache: CacheLayout) -> None:
    first = _built(cache, "torch==2.7.1")
    again = _built(cache, "torch==2.7.1")
    assert (first.reused, again.reused) == (False, True)
    assert first.prefix == again.prefix
    assert first.probe == again.probe
    assert first.probe.version("torch") == "2.7.1"
    assert first.probe.torch is not None
    assert first.probe.torch["git_version"] == "abc123"
    assert first.probe.triton is not None
    assert first.probe.triton["version"] == "3.3.1"
    assert all(each.record_sha256 for each in first.probe.distributions)
    modes = {path.stat().st_mode & 0o222 for path in [first.prefix, _site(first)]}
    assert modes == {0}


def test_another_lock_is_another_environment(cache: CacheLayout) -> None:
    assert _built(cache, "foo==1.0").key != _built(cache, "foo==2.0").key


def test_packages_that_do_not_go_together_are_found_in_a_foreign_lock(cache: CacheLayout) -> None:
    request = Request(("torch==2.7.1",), ("triton==3.6.0",), sys.executable)
    lock = resolve(Uv.here(cache), TorchIndex(None), request, prefer=None).lock
    built = _builder(cache).ensure(lock, describe(sys.executable), "test")
    assert built.undeclared is not None
    assert "triton==3.3.1" in built.undeclared


def test_a_lock_that_no_index_holds_says_relock(cache: CacheLayout) -> None:
    good = resolved(cache, "foo==1.0")
    other_hash = parse_lock(f"foo==1.0 --hash=sha256:{'0' * 64}\n")
    other_version = parse_lock(f"foo==3.0 --hash=sha256:{'0' * 64}\n")
    for lock in (other_hash, other_version):
        assert lock.sha256() != good.sha256()
        with pytest.raises(EnvironmentBuildError, match="no configured index holds") as caught:
            _builder(cache).ensure(lock, describe(sys.executable), "test")
        assert "--relock" in caught.value.hint
    states = {info.state for info in EnvironmentStore(cache).list()}
    assert states == {"unfinished"}


def test_an_environment_whose_python_is_gone_is_built_anew(cache: CacheLayout) -> None:
    first = _built(cache, "foo==1.0")
    remove_tree(first.prefix / "bin")
    again = _built(cache, "foo==1.0")
    assert not again.reused
    assert again.python.exists()


# --- tampering


def _append(path: Path) -> str:
    with path.open("a") as file:
        file.write("# altered\n")
    return path.name


def _alter_source(built: Built) -> str:
    return _append(_site(built) / "torch" / "__init__.py")


def _alter_record_and_file(built: Built) -> str:
    """Alter a file and its RECORD so that the two agree with each other."""
    info = _site(built) / "foo-2.0.dist-info"
    target = _site(built) / "foo" / "__init__.py"
    _append(target)
    record = info / "RECORD"
    lines = record.read_text().splitlines()
    record.write_text("\n".join(line for line in lines if "foo/__init__" not in line) + "\n")
    return "foo-2.0.dist-info/RECORD"


def _add(name: str) -> Any:
    def add(built: Built) -> str:
        folder = _site(built)
        folder.chmod(0o755)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("import sys\n")
        return name

    return add


def _remove(built: Built) -> str:
    folder = _site(built) / "triton"
    folder.chmod(0o755)
    (folder / "__init__.py").unlink()
    return "triton/__init__.py"


def _alter_uvs_own(built: Built) -> str:
    return (
        _append(_site(built) / "_virtualenv.py")
        if (_site(built) / "_virtualenv.py").exists()
        else _append(built.prefix / "pyvenv.cfg")
    )


def _swap_interpreter(built: Built) -> str:
    folder = built.prefix / "bin"
    folder.chmod(0o755)
    real = (folder / "python").resolve()
    (folder / "python3").unlink()
    (folder / "python3").symlink_to(real)
    return "bin/python3"


@pytest.mark.parametrize(
    "tamper",
    [
        _alter_source,
        _alter_record_and_file,
        _add("stray.pth"),
        _add("sitecustomize.py"),
        _add("torch_extra.py"),
        _remove,
        _alter_uvs_own,
        _swap_interpreter,
    ],
    ids=["file", "record", "pth", "sitecustomize", "module", "missing", "uv", "interpreter"],
)
def test_a_tampered_environment_is_refused_with_the_files_name(
    cache: CacheLayout, tamper: Any
) -> None:
    built = _built(cache, "torch==2.7.1")
    name = tamper(built)
    with pytest.raises(TamperedEnvironmentError) as caught:
        _built(cache, "torch==2.7.1")
    assert name in caught.value.what
    assert any(file.endswith(name) for file in caught.value.files)
    assert f"reprokit env prune {built.key}" in caught.value.hint


def test_a_stray_pth_does_not_run_while_the_environment_is_probed(
    cache: CacheLayout, tmp_path: Path
) -> None:
    built = _built(cache, "foo==1.0")
    site = _site(built)
    site.chmod(0o755)
    (site / "evil.pth").write_text(f"import os; open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(TamperedEnvironmentError, match=r"evil\.pth"):
        _built(cache, "foo==1.0")
    assert not (tmp_path / "ran").exists()


def test_altering_uvs_cache_is_found_when_an_environment_is_built_from_it(
    cache: CacheLayout,
) -> None:
    built = _built(cache, "foo==1.0")
    _append(_site(built) / "foo" / "__init__.py")  # the same file as in uv's cache: a hard link
    EnvironmentStore(cache).prune((built.key,))
    if not _cache_is_altered(Path(os.environ["UV_CACHE_DIR"])):
        pytest.skip("needs a file system on which uv hard-links")
    with pytest.raises(TamperedEnvironmentError, match=r"foo/__init__\.py") as caught:
        _built(cache, "foo==1.0")
    assert "uv cache clean foo" in caught.value.hint


def _cache_is_altered(folder: Path) -> bool:
    return any("# altered" in path.read_text() for path in folder.rglob("foo/__init__.py"))


@pytest.mark.parametrize("name", ["stray.pth", "sitecustomize.py", "foo_extra.py"])
def test_a_file_planted_in_uvs_cache_is_refused(cache: CacheLayout, name: str) -> None:
    built = _built(cache, "foo==1.0")
    EnvironmentStore(cache).prune((built.key,))
    unpacked = Path(os.environ["UV_CACHE_DIR"]).rglob("foo-1.0.dist-info/RECORD")
    for record in list(unpacked):
        (record.parents[1] / name).write_text("import os\n")
    with pytest.raises(TamperedEnvironmentError, match=name):
        _built(cache, "foo==1.0")


def test_a_file_that_a_wheels_record_forgot_is_watched(cache: CacheLayout, wheels: Path) -> None:
    write_wheel(wheels, "sloppy", "1.0", unrecorded={"sloppy/data.txt": "1\n"})
    built = _built(cache, "sloppy==1.0")
    _append(_site(built) / "sloppy" / "data.txt")
    with pytest.raises(TamperedEnvironmentError, match=r"sloppy/data\.txt"):
        _built(cache, "sloppy==1.0")


# --- several processes

_DRIVER = """
import sys
from pathlib import Path
from reprokit.cache import CacheLayout
from reprokit.envs.build import EnvironmentBuilder
from reprokit.envs.interpreter import describe
from reprokit.envs.lock import parse_lock
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
cache = CacheLayout(Path(sys.argv[1]))
def tell(event):
    print(event.text, flush=True)
builder = EnvironmentBuilder(
    cache, Uv.here(cache), TorchIndex(None), build_from_source=(), observer=tell
)
lock = parse_lock(Path(sys.argv[2]).read_text())
print("reused" if builder.ensure(lock, describe(sys.executable), "x").reused else "built")
"""


def _start(cache: CacheLayout, lock: Lock, tmp_path: Path) -> subprocess.Popen[str]:
    path = tmp_path / "given.lock"
    path.write_text(lock.text())
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(cache.root), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_two_processes_build_one_environment_once(cache: CacheLayout, tmp_path: Path) -> None:
    lock = resolved(cache, "torch==2.7.1")
    processes = [_start(cache, lock, tmp_path) for _ in range(2)]
    ends = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert sorted(ends) == ["built", "reused"]
    assert len(list(cache.environments.glob("*/venv-*"))) == 1


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.1, 0.2])
def test_a_killed_build_is_recovered(cache: CacheLayout, tmp_path: Path, delay: float) -> None:
    lock = resolved(cache, "torch==2.7.1")
    process = _start(cache, lock, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("building")
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    built = _built(cache, "torch==2.7.1")
    assert built.probe.version("torch") == "2.7.1"
    assert EnvironmentStore(cache).show(built.key).state == "ready"


# --- store


def test_store_lists_shows_and_prunes(cache: CacheLayout) -> None:
    store = EnvironmentStore(cache)
    assert store.list() == ()
    old, new = _built(cache, "foo==1.0"), _built(cache, "torch==2.7.1")
    assert {info.key for info in store.list()} == {old.key, new.key}
    shown = store.show(new.key[:10])
    assert shown.versions == {"torch": "2.7.1", "triton": "3.3.1"}
    assert shown.unique_bytes > 0
    with pytest.raises(UsageError, match="no environment"):
        store.show("zz")
    assert store.prune(older_than=timedelta(hours=1)).removed == ()
    os.utime(Place(cache.environments, old.key).used_path, (0, 0))
    bytecode = cache.bytecode / old.key
    bytecode.mkdir(parents=True)
    assert store.prune(older_than=timedelta(hours=1)).removed == (old.key,)
    assert not bytecode.exists()
    assert store.prune(everything=True).removed == (new.key,)
    assert store.list() == ()


def test_prune_leaves_what_is_being_built(cache: CacheLayout) -> None:
    import filelock

    built = _built(cache, "foo==1.0")
    with filelock.FileLock(Place(cache.environments, built.key).lock_path):
        pruned = EnvironmentStore(cache).prune((built.key,))
    assert (pruned.removed, pruned.busy) == ((), (built.key,))
    assert built.python.exists()


def test_environment_key_depends_on_lock_and_python() -> None:
    lock = parse_lock(f"foo==1.0 --hash=sha256:{'0' * 64}\n")
    here = describe(sys.executable)
    other = here.model_copy(update={"version": "3.99.0"})
    assert environment_key(lock, here) == environment_key(parse_lock(lock.text()), here)
    assert environment_key(lock, here) != environment_key(lock, other)


def test_an_environment_that_cannot_be_checked_is_not_finished(
    cache: CacheLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = resolved(cache, "foo==1.0")
    real = Uv.pip

    def killed(self: Uv, command: str, *args: str, **more: Any) -> ToolResult:
        if command == "check":
            return ToolResult(-9, "", "", timed_out=False)
        return real(self, command, *args, **more)

    monkeypatch.setattr(Uv, "pip", killed)
    with pytest.raises(EnvironmentBuildError, match="could not check"):
        _builder(cache).ensure(lock, describe(sys.executable), "test")
    assert {info.state for info in EnvironmentStore(cache).list()} == {"unfinished"}
