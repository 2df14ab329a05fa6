"""The probe of an existing interpreter: layouts it must cope with, and what it must not miss."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dummy_wheels import write_wheel
from host_interpreter import install, make_host, site_of

from reprokit.envs.host_probe import HostFindings, host_changes, host_key, probe_host

pytestmark = pytest.mark.integration


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return make_host(tmp_path / "host", dummy="1.0", other="2.0")


def look(python: Path) -> HostFindings:
    return probe_host(python, ["dummy"])


def patch(site: Path) -> None:
    (site / "dummy" / "__init__.py").write_text("__version__ = '1.0'  # patched\n")


def test_what_is_as_installed_has_no_doubts(python: Path) -> None:
    found = look(python)
    dummy, other = found.installed["dummy"], found.installed["other"]
    assert (dummy.version, dummy.unverified) == ("1.0", None)
    assert found.probe.altered + found.probe.unrecorded + found.missing() == ()
    assert dummy.content_sha256 is not None
    assert other.content_sha256 is None  # nobody asked for it; its RECORD is enough
    assert other.record_sha256 is not None


def test_altered_added_and_removed_files_are_named(python: Path) -> None:
    clean, site = look(python), site_of(python)
    patch(site)
    (site / "dummy" / "extra.py").write_text("")
    (site / "dummy" / "__pycache__").mkdir()
    (site / "dummy" / "__pycache__" / "x.pyc").write_bytes(b"")
    found = look(python)
    assert found.probe.altered == ("dummy/__init__.py",)
    assert found.probe.unrecorded == ("dummy/extra.py",)
    assert host_key(found.probe) != host_key(clean.probe)
    assert "dummy/__init__.py is another file than it was" in host_changes(clean.probe, found.probe)
    (site / "dummy" / "__init__.py").unlink()
    assert [Path(path).name for path in look(python).missing()] == ["__init__.py"]


def test_a_second_alteration_of_an_altered_file_is_noticed(python: Path) -> None:
    patch(site_of(python))
    first = look(python)
    (site_of(python) / "dummy" / "__init__.py").write_text("import os\n")
    assert host_changes(first.probe, look(python).probe) == (
        "files of dummy are others than they were",
    )


@pytest.mark.parametrize("kind", ["no_record", "editable"])
def test_what_nothing_vouches_for_is_unverified_and_still_watched(python: Path, kind: str) -> None:
    info = site_of(python) / "dummy-1.0.dist-info"
    if kind == "no_record":
        (info / "RECORD").unlink()
    else:
        (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "x"}')
    found = look(python)
    assert found.unverified(kind) == ("dummy",)
    patch(site_of(python))
    assert host_key(look(python).probe) != host_key(found.probe)


def test_a_working_copy_on_a_pth_file_is_found_where_it_is(python: Path, tmp_path: Path) -> None:
    site, copy = site_of(python), tmp_path / "copy"
    shutil.move(site / "dummy", copy / "dummy")
    (site / "dummy.pth").write_text(f"{copy}\n")
    info = site / "dummy-1.0.dist-info"
    (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "x"}')
    found = look(python)
    (copy / "dummy" / "new.py").write_text("")
    assert host_changes(found.probe, look(python).probe)


def test_old_metadata_is_read(python: Path) -> None:
    site = site_of(python)
    (site / "ancient.py").write_text("")
    (site / "ancient-0.1.egg-info").write_text(
        "Metadata-Version: 1.0\nName: Ancient\nVersion: 0.1\n"
    )
    (site / "folder-0.2.egg-info").mkdir()
    (site / "folder-0.2.egg-info" / "PKG-INFO").write_text("Name: folder\nVersion: 0.2\n")
    (site / "left-0.3.dist-info").mkdir()  # what an uninstaller forgot
    found = probe_host(python, ["ancient"])
    assert found.probe.version("ancient") == "0.1"
    assert found.probe.version("folder") == "0.2"
    assert found.probe.version("left") is None
    assert found.unverified("no_record") == ("ancient",)


def test_a_shared_namespace_blames_nobody_for_its_neighbours(python: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        files = {f"vendor/{name}/__init__.py": "", f"vendor/lib/{name}.so": name}
        install(python, write_wheel(tmp_path, f"vendor-{name}", "1", files=files))
    found = probe_host(python, ["vendor-one"])
    assert found.installed["vendor-one"].content_sha256 is not None
    assert not found.probe.unrecorded


def test_torch_is_described_without_being_imported(python: Path, tmp_path: Path) -> None:
    files = {
        "torch/__init__.py": "raise SystemExit('imported')\n",
        "torch/version.py": "__version__ = '2.7.1+cu126'\ngit_version = 'abc'\ncuda = '12.6'\n",
    }
    install(python, write_wheel(tmp_path, "torch", "2.7.1", files=files))
    facts = probe_host(python, ["dummy"]).probe.torch
    assert facts is not None
    assert (facts["distribution"], facts["version"]) == ("2.7.1", "2.7.1+cu126")
    assert facts["git_version"] == "abc"


def test_a_torch_without_metadata_has_the_version_of_its_module(python: Path) -> None:
    folder = site_of(python) / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "version.py").write_text("__version__ = '2.9.0a0+git1'\n")
    assert look(python).probe.version("torch") == "2.9.0a0+git1"


def test_the_users_own_folder_is_told_and_not_used(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    version = site_of(python).parent.name
    user = tmp_path / "home" / ".local" / "lib" / version / "site-packages"
    shutil.copytree(site_of(python), user)
    for path in site_of(python).glob("dummy*"):
        shutil.rmtree(path)
    found = look(python)
    assert found.user_site == {"dummy": "1.0"}
    assert found.probe.version("dummy") is None


def test_equal_interpreters_have_equal_keys(python: Path, tmp_path: Path) -> None:
    twin = make_host(tmp_path / "twin", dummy="1.0", other="2.0")
    assert host_key(look(twin).probe) == host_key(look(python).probe)
    install(twin, write_wheel(tmp_path, "unrelated", "1"))
    assert host_key(look(twin).probe) != host_key(look(python).probe)
    assert host_changes(look(python).probe, look(twin).probe) == ("unrelated was not there",)
