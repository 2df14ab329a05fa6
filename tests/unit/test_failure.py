"""Logs of every shape end as the failure that a reader would have named."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.failure import is_out_of_memory, make_failure, read_failure
from reprokit.records import Cause, Failure

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n'
FAULT = "Fatal Python error: Segmentation fault"
TERMINATE = "terminate called after throwing an instance of 'c10::Error'"
FAULTHANDLER = f"""\
{FAULT}

Thread 0x01 (most recent call first):
  File "t.py", line 2 in wait

Current thread 0x02 (most recent call first):
  File "k.py", line 12 in launch
  File "m.py", line 1 in <module>
"""
USAGE = "generate.py: error: unrecognized arguments: --device"

SIMPLE = """\
loading
Traceback (most recent call last):
  File "/data/checkout/generate.py", line 410, in <module>
    main()
    ~~~~^^
  File "/data/env/lib/python3.11/site-packages/torch/_dynamo/eval_frame.py", line 655, in _fn
    return fn(*args)
ImportError: cannot import name 'AttrsDescriptor' from 'triton.compiler.compiler' \
(/data/env/lib/python3.11/site-packages/triton/compiler/compiler.py)
"""


def read(tmp_path: Path, text: str | bytes, source: Path | None = None) -> Failure | None:
    log = tmp_path / "invocations" / "x" / "stderr.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_failure(log, relative_to=tmp_path, source=source)


def found(tmp_path: Path, text: str | bytes, source: Path | None = None) -> Failure:
    failure = read(tmp_path, text, source)
    assert failure is not None
    return failure


def test_class_message_frame_and_log(tmp_path: Path) -> None:
    failure = found(tmp_path, SIMPLE)
    assert failure.exception == "ImportError"
    assert failure.message.startswith("cannot import name 'AttrsDescriptor'")
    assert failure.frame is not None
    assert (failure.frame.file, failure.frame.line) == ("torch/_dynamo/eval_frame.py", 655)
    assert failure.frame.function == "_fn"
    assert failure.log == "invocations/x/stderr.log"
    assert "/data" not in failure.model_dump_json()


def test_frames_of_the_checkout_are_named_in_it(tmp_path: Path) -> None:
    text = SIMPLE.replace("/data/env/lib/python3.11/site-packages/torch", "/data/checkout/sub")
    failure = found(tmp_path, text, Path("/data/checkout"))
    assert failure.frame is not None
    assert failure.frame.file == "sub/_dynamo/eval_frame.py"


def test_a_message_of_many_lines_is_whole(tmp_path: Path) -> None:
    wrapped = SIMPLE.replace(
        "ImportError: cannot",
        "torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:\nImportError: cannot",
    )
    failure = found(
        tmp_path,
        wrapped + "\nSet TORCHDYNAMO_VERBOSE=1 for more\n\n\nYou can suppress it:\n    import x\n",
    )
    assert failure.exception == "torch._dynamo.exc.BackendCompilerFailed"
    assert "ImportError: cannot import name" in failure.message
    assert failure.message.endswith("You can suppress it:\n    import x")


def test_the_last_traceback_counts_and_names_its_causes(tmp_path: Path) -> None:
    text = """\
Traceback (most recent call last):
  File "a.py", line 1, in one
    x()
KeyError: 'weights'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in two
    y()
ValueError: bad
file

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "c.py", line 3, in three
RuntimeError: gave up
"""
    failure = found(tmp_path, SIMPLE + text)
    assert failure.exception == "RuntimeError"
    assert failure.causes == (
        Cause(exception="KeyError", message="'weights'"),
        Cause(exception="ValueError", message="bad\nfile"),
    )


def test_what_python_itself_prints_is_read_back(tmp_path: Path) -> None:
    def outer() -> None:
        try:
            Path("/nonexistent/weights").read_bytes()
        except OSError as error:
            raise LookupError("two\n\nparagraphs") from error

    try:
        outer()
    except LookupError:
        text = traceback.format_exc()
    failure = found(tmp_path, text)
    assert (failure.exception, failure.message) == ("LookupError", "two\n\nparagraphs")
    assert failure.causes == (failure.causes[0],)
    assert failure.causes[0].exception == "FileNotFoundError"
    assert failure.frame is not None
    assert (failure.frame.file, failure.frame.function) == ("test_failure.py", "outer")


def test_an_exception_group_ends_as_its_last_member(tmp_path: Path) -> None:
    def fail(error: Exception) -> None:
        raise error

    def raised(error: Exception) -> Exception:
        with pytest.raises(type(error)) as caught:
            fail(error)
        return caught.value

    inner = raised(ExceptionGroup("in", [raised(OSError("b\nc"))]))
    group = raised(ExceptionGroup("many", [raised(KeyError("a")), inner]))
    text = "".join(traceback.format_exception(group))
    failure = found(
        tmp_path, text + "Exception ignored in: <x>\nTraceback (most recent call last):\n"
    )
    assert (failure.exception, failure.message) == ("OSError", "b\nc")
    assert failure.causes[-1].exception == "ExceptionGroup"


def test_a_rank_is_followed_through_the_lines_of_others(tmp_path: Path) -> None:
    text = """\
[rank0]: Traceback (most recent call last):
[rank1]: Traceback (most recent call last):
[rank1]:   File "a.py", line 7, in step
[rank0]:   File "a.py", line 7, in step
[rank1]: RuntimeError: first line
[rank0]: noise
[rank1]: second line
"""
    failure = found(tmp_path, text)
    assert (failure.exception, failure.message) == ("RuntimeError", "first line\nsecond line")
    assert failure.frame is not None
    assert failure.frame.line == 7


def test_a_worker_s_traceback_inside_a_message_is_a_cause(tmp_path: Path) -> None:
    text = """\
Traceback (most recent call last):
  File "pool.py", line 3, in result
torch._inductor.exc.InductorError: SubprocException: An exception occurred in a subprocess:

Traceback (most recent call last):
  File "worker.py", line 9, in compile
triton.compiler.errors.CompilationError: at 5:10
"""
    failure = found(tmp_path, text)
    assert failure.exception == "torch._inductor.exc.InductorError"
    assert "CompilationError: at 5:10" in failure.message
    assert failure.causes[0].exception == "triton.compiler.errors.CompilationError"
    assert failure.frame is not None
    assert failure.frame.function == "result"


@pytest.mark.parametrize(
    "after",
    [
        "Exception ignored in: <function Pool.__del__>\n" + SIMPLE.partition("\n")[2],
        f"--- Logging error ---\n{TRACEBACK}OSError: closed\n",
        "/x/resource_tracker.py:224: UserWarning: resource_tracker: 1 leaked semaphore\n",
        "terminate called without an active exception\n",
    ],
)
def test_what_is_printed_afterwards_is_not_the_failure(tmp_path: Path, after: str) -> None:
    text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'real'\n"
    failure = found(tmp_path, text + after)
    assert (failure.exception, failure.message) == ("KeyError", "'real'")


@pytest.mark.parametrize(
    ("text", "exception", "message", "function"),
    [
        (
            '  File "bad.py", line 3\n    def (\n        ^\nSyntaxError: invalid syntax\n',
            *("SyntaxError", "invalid syntax", "<module>"),
        ),
        (f"{TRACEBACK}KeyboardInterrupt\n", "KeyboardInterrupt", "", "f"),
        (f"50%|##  | 5/10\r{TRACEBACK}a.b.Odd: \x1b[31mred\x1b[0m\n", "a.b.Odd", "red", "f"),
        (f"  0%|  | 0/5 [00:00<?, ?it/s]{TRACEBACK}ValueError: v\n", "ValueError", "v", "f"),
        (f"{TRACEBACK}    x = (", None, "the traceback is cut short", "f"),
        (f"{TRACEBACK}Killed\n", None, "the traceback is cut short", "f"),
        (
            FAULTHANDLER,
            *(None, FAULT, "launch"),
        ),
    ],
)
def test_forms(
    tmp_path: Path, text: str, exception: str | None, message: str, function: str
) -> None:
    failure = found(tmp_path, text)
    assert (failure.exception, failure.message) == (exception, message)
    assert failure.frame is not None
    assert failure.frame.function == function


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one\ntwo\nKilled\n", "Killed"),
        (f"a\n{TERMINATE}\n  what():  CUDA error\nframe #0: x\n", TERMINATE),
        (f"usage: x\n{USAGE}\n", USAGE),
        ("just this\n", "just this"),
    ],
)
def test_without_a_traceback_the_last_words_count(tmp_path: Path, text: str, first: str) -> None:
    failure = found(tmp_path, text)
    assert failure.exception is None
    assert failure.message.splitlines()[0] == first


def test_a_fatal_error_after_a_traceback_wins(tmp_path: Path) -> None:
    assert found(tmp_path, SIMPLE + "Fatal Python error: Aborted\n").exception is None


def test_no_words_no_failure(tmp_path: Path) -> None:
    assert read(tmp_path, " \n\n") is None
    assert read_failure(tmp_path / "missing.log", relative_to=tmp_path) is None


@pytest.mark.parametrize("size", [0, 3 << 20, (1 << 20) - 20])
def test_a_traceback_is_found_wherever_it_stands(tmp_path: Path, size: int) -> None:
    chatter = b"y" * 99 + b"\n"
    text = chatter * (size // 100) + SIMPLE.encode() + b"WARNING later\n" + chatter * (size // 100)
    failure = found(tmp_path, text)
    assert failure.exception == "ImportError"
    assert failure.frame is not None


@given(st.binary(max_size=400))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("log")
    read(folder, noise + SIMPLE.encode() + noise)
    read(folder, noise)


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        ("torch.cuda.OutOfMemoryError", "x"),
        ("MemoryError", ""),
        ("numpy._core._exceptions._ArrayMemoryError", "x"),
        ("RuntimeError", "DefaultCPUAllocator: can't allocate memory"),
        (None, "terminate called after throwing an instance of 'std::bad_alloc'"),
    ],
)
def test_out_of_memory_is_recognised(exception: str | None, message: str) -> None:
    assert is_out_of_memory(make_failure(exception, message))


def test_other_resources_are_not_memory() -> None:
    shared = "out of resource: shared memory, Required: 147456, Hardware limit: 101376"
    assert not is_out_of_memory(make_failure("triton.runtime.errors.OutOfResources", shared))
    caused = make_failure("RuntimeError", "x", causes=(Cause(exception="MemoryError", message=""),))
    assert is_out_of_memory(caused)
