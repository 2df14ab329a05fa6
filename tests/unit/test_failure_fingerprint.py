"""Equal failures have equal fingerprints on any machine, and different ones do not."""

from __future__ import annotations

import pytest

from reprokit.failure import fingerprint
from reprokit.records import Frame


def frame(file: str, line: int = 1, function: str = "f") -> Frame:
    return Frame(file=file, line=line, function=function)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("at 0x7f00dead in cuda:0", "at 0x7fffbeef in cuda:3"),
        ("Tried to allocate 20.00 MiB. GPU 0", "Tried to allocate 2.50 GiB. GPU 1"),
        ("in (/usr/lib/site-packages/triton/c.py)", "in (/srv/b/site-packages/triton/c.py)"),
        ("no file /tmp/tmpab12cd34/model.pth", "no file /var/tmp/tmpzz99yy88/model.pth"),
        ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "id 9b2504e0-4f89-11d3-9a0c-0305e82c33ff"),
        ("in triton_poi_fused_add_0", "in triton_poi_fused_add_17"),
        ("in /tmp/inductor/ab/c" + "a2b3" * 13 + ".py", "in /x/zz/c" + "q7r5" * 13 + ".py"),
        ("took -1.5e-05 s", "took 3 s"),
        ("first\n\nSet X=1 for more", "first\n\nother advice"),
    ],
)
def test_what_differs_between_machines_does_not_count(here: str, there: str) -> None:
    one = fingerprint("E", here, frame("/usr/lib/site-packages/torch/a.py", 10))
    assert one == fingerprint("E", there, frame("/home2/e/site-packages/torch/a.py", 99))


@pytest.mark.parametrize(
    ("exception", "message", "file", "function"),
    [
        ("F", "m", "site-packages/torch/a.py", "f"),
        ("E", "n", "site-packages/torch/a.py", "f"),
        ("E", "m", "site-packages/torch/b.py", "f"),
        ("E", "m", "site-packages/torch/a.py", "g"),
        (None, "m", "site-packages/torch/a.py", "f"),
    ],
)
def test_what_makes_another_failure_counts(
    exception: str | None, message: str, file: str, function: str
) -> None:
    original = fingerprint("E", "m", frame("/usr/site-packages/torch/a.py"))
    other = fingerprint(exception, message, frame(f"/usr/{file}", function=function))
    assert original != other


def test_names_with_digits_are_not_numbers() -> None:
    assert fingerprint("E", "float16", None) != fingerprint("E", "float32", None)
    assert len(fingerprint(None, "", None)) == 12


def test_generated_code_is_the_same_module_under_any_hash() -> None:
    name = "/cache/ab/c{}.py"
    one = fingerprint("E", "m", frame(name.format("a2b3" * 13)))
    assert one == fingerprint("E", "m", frame(name.format("x7y5" * 13)))
