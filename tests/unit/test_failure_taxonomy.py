"""The taxonomy on messages as torch and Triton write them, and on text that nobody wrote."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.failure import classify, fingerprint, make_failure
from reprokit.records import Cause, Failure, FailureKind, Frame, RowStatus

DSA = "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
OVERWRITTEN = (
    "Error: accessing tensor output of CUDAGraphs that has been overwritten by a subsequent run. "
    'Stack trace: File "m.py", line 3. To prevent overwriting, clone the tensor outside of '
    "torch.compile() or call torch.compiler.cudagraph_mark_step_begin() before each invocation."
)
INDUCTOR = "torch._inductor.exc.InductorError"
BACKEND = "torch._dynamo.exc.BackendCompilerFailed"
GENERATED = "c" + "dy3euzfxk4z24mhc3722xrwhhalf4kerfxdjcujrhgrgzlam3gge"[:50] + ".py"

MESSAGES = [
    ("RuntimeError", OVERWRITTEN, "cudagraph_overwrite"),
    (
        "torch._dynamo.exc.FailOnRecompileLimitHit",
        "recompile_limit reached with fullgraph=True. Excessive recompilations ...",
        "recompile_limit",
    ),
    ("torch._dynamo.exc.Unsupported", "Dynamo recompile limit exceeded", "recompile_limit"),
    ("torch._dynamo.exc.Unsupported", "cache_size_limit reached", "recompile_limit"),
    (
        "torch.AcceleratorError",
        "CUDA error: an illegal memory access was encountered",
        "illegal_access",
    ),
    ("RuntimeError", f"CUDA error: device-side assert triggered\n{DSA}", "illegal_access"),
    ("RuntimeError", "CUDA error: misaligned address", "illegal_access"),
    (
        "RuntimeError",
        "Triton Error [CUDA]: an illegal memory access was encountered",
        "illegal_access",
    ),
    ("RuntimeError", f"CUDA error: out of memory\n{DSA}", "oom"),
    ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB.", "oom"),
    ("torch.cuda.OutOfMemoryError", "CUDA out of memory.", "oom"),
    ("MemoryError", "", "oom"),
    (INDUCTOR, "OutOfMemoryError: CUDA out of memory.", "oom"),
    ("RuntimeError", "Triton Error [CUDA]: out of memory", "oom"),
    (
        "triton.runtime.errors.OutOfResources",
        "out of resource: shared memory, Required: 262400, Hardware limit: 101376.",
        "triton_build",
    ),
    (
        INDUCTOR,
        (
            "NoTritonConfigsError: No valid triton configs. OutOfMemoryError: out of resource: "
            "triton_mm Required: 262144 Hardware limit:232448"
        ),
        "triton_build",
    ),
    ("triton.compiler.errors.CompilationError", "at 8:11:\n def f():", "triton_build"),
    (
        BACKEND,
        "backend='inductor' raised:\nCompilationError: at 11:25:\ndef triton_(",
        "triton_build",
    ),
    (
        BACKEND,
        ("backend='inductor' raised:\nRuntimeError: Cannot find a working triton installation."),
        "triton_build",
    ),
    (
        BACKEND,
        (
            "backend='inductor' raised:\nRuntimeError: Triton Error [CUDA]: device kernel image "
            "is invalid"
        ),
        "triton_build",
    ),
    (
        "torch._inductor.exc.TritonMissing",
        "Cannot find a working triton installation.",
        "triton_build",
    ),
    (
        INDUCTOR,
        ("RuntimeError: Failed to find C compiler. Please specify via CC environment variable."),
        "triton_build",
    ),
    (
        "subprocess.CalledProcessError",
        (
            "Command '['/usr/bin/gcc', '/tmp/t/main.c', '-O3', "
            "'-shared', '-o', '/tmp/t/cuda_utils.cpython-310-x86_64-linux-gnu.so', '-lcuda']' "
            "returned non-zero exit status 1."
        ),
        "triton_build",
    ),
    ("RuntimeError", "`ptxas` failed with error code 255", "triton_build"),
    (
        "ImportError",
        "cannot import name 'AttrsDescriptor' from 'triton.compiler.compiler' (x.py)",
        "stack_incompatible",
    ),
    (
        BACKEND,
        (
            "backend='inductor' raised:\nImportError: cannot import name 'triton_key' from "
            "'triton.compiler.compiler'"
        ),
        "stack_incompatible",
    ),
    (
        INDUCTOR,
        "AttributeError: 'KernelMetadata' object has no attribute 'cluster_dims'",
        "stack_incompatible",
    ),
    (
        INDUCTOR,
        "AttributeError: type object 'CompiledKernel' has no attribute 'launch_enter_hook'",
        "stack_incompatible",
    ),
    (
        "ImportError",
        "/x/libtorch_cuda.so: undefined symbol: ncclCommRegister",
        "stack_incompatible",
    ),
    (
        "RuntimeError",
        f"CUDA error: no kernel image is available for execution on the device\n{DSA}",
        "stack_incompatible",
    ),
    (
        "ImportError",
        (
            "tokenizers>=0.21,<0.22 is required for a normal functioning of this "
            "module, but found tokenizers==0.19.1."
        ),
        "stack_incompatible",
    ),
    (
        "RuntimeError",
        (
            "These live storage data ptrs are in the cudagraph pool but not accounted "
            "for as an output of cudagraph trees: "
        ),
        "cudagraph_assertion",
    ),
    (INDUCTOR, "CppCompileError: C++ compile error\n\nCommand:\ng++ a.cpp", "inductor_error"),
    (INDUCTOR, "LoweringException: AssertionError: \n  target: aten.foo", "inductor_error"),
    (
        BACKEND,
        (
            "backend='inductor' raised:\nAttributeError: 'NoneType' object has no attribute "
            "'_overloadpacket'"
        ),
        "inductor_error",
    ),
    (BACKEND, "backend='mine' raised:\nValueError: no", "other"),
    ("ModuleNotFoundError", "No module named 'triton'", "import_error"),
    ("ModuleNotFoundError", "No module named 'triton.ops'", "stack_incompatible"),
    ("ImportError", "cannot import name 'helper' from 'utils' (/x/utils.py)", "import_error"),
    (
        "RuntimeError",
        (
            "Failed to import transformers.models.x because of the following error (look "
            "up to see its traceback):\nNo module named 'flash_attn'"
        ),
        "import_error",
    ),
    ("jinja2.CompilationError", "bad template", "other"),
    ("ValueError", "the cache_size_limit option must be positive", "other"),
    ("AssertionError", "", "other"),
]


@pytest.mark.parametrize(("exception", "message", "kind"), MESSAGES)
def test_messages_are_named(exception: str, message: str, kind: str) -> None:
    assert classify(make_failure(exception, message)) == kind


@pytest.mark.parametrize(
    ("exception", "message", "file", "kind"),
    [
        ("AssertionError", "", "torch/_inductor/cudagraph_trees.py", "cudagraph_assertion"),
        ("AssertionError", "", "torch/_inductor/scheduler.py", "inductor_error"),
        ("AssertionError", "", "model.py", "other"),
        ("RuntimeError", OVERWRITTEN, "torch/_inductor/cudagraph_trees.py", "cudagraph_overwrite"),
        (None, "the traceback is cut short", "torch/_inductor/output_code.py", "inductor_error"),
        ("KeyError", "'x'", GENERATED, "inductor_error"),
        ("ImportError", "odd", "torch/_inductor/runtime/hints.py", "stack_incompatible"),
        ("TypeError", "f() takes 1", "triton/backends/nvidia/driver.py", "stack_incompatible"),
        ("TypeError", "f() takes 1", "/v/site-packages/triton/compiler/c.py", "stack_incompatible"),
        ("TypeError", "f() takes 1", "triton/runtime/jit.py", "other"),
        (INDUCTOR, "TypeError: f() takes 1", "triton/runtime/jit.py", "stack_incompatible"),
        ("TypeError", "f() takes 1", "kernels/triton/compiler/mine.py", "other"),
        (
            BACKEND,
            "backend='inductor' raised:\nModuleNotFoundError: No module named 'triton'",
            "torch/utils/_triton.py",
            "triton_build",
        ),
    ],
)
def test_the_terminal_frame_tells(
    exception: str | None, message: str, file: str, kind: str
) -> None:
    frame = Frame(file=file, line=656, function="f")
    assert classify(make_failure(exception, message, frame=frame)) == kind


def caused(exception: str, message: str, *causes: tuple[str, str]) -> Failure:
    chain = tuple(Cause(exception=name, message=text) for name, text in causes)
    return make_failure(exception, message, causes=chain)


def test_a_cause_names_what_its_wrapper_does_not() -> None:
    triton = ("triton.compiler.errors.CompilationError", "at 1:2:")
    assert classify(caused(BACKEND, "backend='inductor' raised", triton)) == "triton_build"
    assert classify(caused("RuntimeError", "cell failed", ("RuntimeError", OVERWRITTEN))) == (
        "cudagraph_overwrite"
    )
    assert classify(caused("RuntimeError", "cell failed", (INDUCTOR, "x"))) == "inductor_error"


def test_what_was_handled_before_does_not_name_the_end() -> None:
    handled = ("ImportError", "cannot import name 'AttrsDescriptor' from 'triton.compiler'")
    assert classify(caused("MemoryError", "", handled)) == "oom"
    optional = ("ModuleNotFoundError", "No module named 'flash_attn'")
    assert classify(caused("ValueError", "bad shape", optional)) == "other"


@pytest.mark.parametrize(
    ("exception", "message", "status", "kind"),
    [
        ("RuntimeError", OVERWRITTEN, RowStatus.TIMEOUT, "timeout"),
        (None, "timeout: no end after 3 s", RowStatus.TIMEOUT, "timeout"),
        (None, "died by SIGSEGV", RowStatus.KILLED, "signal"),
        (
            None,
            "SIGKILL, not sent by reprokit: likely the host's out-of-memory killer",
            RowStatus.KILLED,
            "signal",
        ),
        (None, "Out of memory: Killed process 12 (python)", RowStatus.KILLED, "oom"),
        ("ValueError", "handled", RowStatus.KILLED, "signal"),
        (
            None,
            (
                "terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA "
                "error: an illegal memory access was encountered"
            ),
            RowStatus.KILLED,
            "illegal_access",
        ),
        (None, "Segmentation fault (core dumped)", RowStatus.CRASH, "signal"),
        (None, "exited with code 3", RowStatus.CRASH, "other"),
        ("RuntimeError", "x", RowStatus.OOM, "oom"),
    ],
)
def test_how_the_process_ended_counts(
    exception: str | None, message: str, status: RowStatus, kind: str
) -> None:
    assert classify(make_failure(exception, message), status) == kind


@given(
    st.none() | st.text() | st.sampled_from([BACKEND, INDUCTOR, "ImportError"]),
    st.text(),
    st.none() | st.text(),
    st.lists(st.tuples(st.text(), st.text()), max_size=3),
    st.none() | st.sampled_from(RowStatus),
)
def test_no_text_raises(
    exception: str | None,
    message: str,
    file: str | None,
    causes: list[tuple[str, str]],
    status: RowStatus | None,
) -> None:
    frame = None if file is None else Frame(file=file, line=1, function="f")
    chain = tuple(Cause(exception=name, message=text) for name, text in causes)
    failure = make_failure(exception, message, frame=frame, causes=chain)
    assert classify(failure, status) in FailureKind


@pytest.mark.parametrize("piece", ["Command [", "Command '[", "launcher-", "triton "])
def test_the_work_grows_no_faster_than_the_message(piece: str) -> None:
    failure = make_failure(INDUCTOR, piece * (1 << 18 >> 3))
    begin = time.process_time()
    assert classify(failure) == "inductor_error"
    assert time.process_time() - begin < 4.0


def test_a_command_of_any_length_names_the_build_and_only_in_its_own_line() -> None:
    options = "-I/usr/include " * 1000
    command = f"Command '['/usr/bin/gcc', {options} '/tmp/t/cuda_utils.so'] returned 1"
    assert classify(make_failure("CalledProcessError", command)) == "triton_build"
    apart = "Command '[ls]' failed\nsee cuda_utils"
    assert classify(make_failure("CalledProcessError", apart)) == "other"


def test_of_several_causes_the_last_names_the_failure() -> None:
    """The chain is written oldest first; the last one is the nearest to the end."""
    overwritten, access = ("RuntimeError", OVERWRITTEN), ("RuntimeError", MESSAGES[5][1])
    assert classify(caused("RuntimeError", "x", overwritten, access)) == "illegal_access"
    assert classify(caused("RuntimeError", "x", access, overwritten)) == "cudagraph_overwrite"


@pytest.mark.parametrize("piece", ["RuntimeError: ", "Command [", "ptxas ", "A: \n"])
def test_a_long_message_is_no_long_work(piece: str) -> None:
    failure = make_failure(INDUCTOR, (piece * 20_000)[:16_384])
    begin = time.process_time()
    assert classify(failure) == "inductor_error"
    assert time.process_time() - begin < 2.0


def test_a_name_leaves_the_fingerprint_alone() -> None:
    failure = make_failure("RuntimeError", OVERWRITTEN)
    named = failure.model_copy(update={"kind": classify(failure)})
    assert named.fingerprint == fingerprint("RuntimeError", OVERWRITTEN, None)
