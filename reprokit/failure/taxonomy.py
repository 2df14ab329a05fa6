"""The name that a failure has in the field: `FailureKind`.

What is asked, in this order: did the time limit end it; does the last exception say what it is, or
one that it wraps or that led to it; was it raised inside Inductor; how did the process end. The
most specific cause names the failure, never its wrapper: `BackendCompilerFailed` caused by a
Triton compile error is `triton_build`. What nothing names is `other`.

The words are those of messages of torch 2.1 to 2.15 and Triton 2.1 to 3.6 as their issue trackers
show them. Fingerprints do not depend on any of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from reprokit.failure.read import says_out_of_memory
from reprokit.failure.traceback import DEATH
from reprokit.records import Failure, FailureKind, Frame, RowStatus

_MOST_LINES, _MOST_NESTED = 50, 8
_RAISED = re.compile(r"^\s*([A-Za-z_][\w.]*)(?::\s?(.*))?$")
_CLASS = re.compile(r"(Error|Exception|Failed|Failure|Exit|Hit|Missing|Triton|OutOfResources)$")
_WRAPPERS = frozenset(
    {
        "BackendCompilerFailed", "InductorError", "LoweringException", "SubprocException",
        "TorchRuntimeError", "NoTritonConfigsError", "CompilationError",
    }
)  # fmt: skip
"""Exceptions whose message quotes the one that they were made of."""

_TRITON_CLASSES = frozenset(
    {
        "CompileTimeAssertionFailure", "UnsupportedLanguageConstruct", "PTXASError",
        "TritonMissing", "GPUTooOldForTriton", "NoTritonConfigsError",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Rule:
    """A kind with the classes and the words that are enough to name it.

    Words are searched in whatever a benchmark wrote: none may take more than linear time.

    Attributes:
        then: words of which the second follow the first in a line, however much stands between.
    """

    kind: FailureKind
    words: re.Pattern[str] | None = None
    classes: frozenset[str] = frozenset()
    then: tuple[re.Pattern[str], re.Pattern[str]] | None = None

    def fits(self, name: str, message: str) -> bool:
        if name.rpartition(".")[2] in self.classes:
            return True
        if self.words is not None and self.words.search(message) is not None:
            return True
        return self.then is not None and _follows(*self.then, message)


def _follows(first: re.Pattern[str], second: re.Pattern[str], message: str) -> bool:
    lines = ((line, first.search(line)) for line in message.split("\n"))
    return any(found and second.search(line, found.end()) for line, found in lines)


_RULES = (
    _Rule(
        FailureKind.CUDAGRAPH_OVERWRITE,
        re.compile(r"output of CUDA ?Graphs? that (has|have) been overwritten", re.IGNORECASE),
    ),
    _Rule(
        FailureKind.RECOMPILE_LIMIT,
        re.compile(
            r"(recompile|cache)[_ ](size[_ ])?limit( \(\d+\))? (reached|exceeded|hit)"
            r"|hit config\.\w*(recompile|cache_size)_limit",
            re.IGNORECASE,
        ),
        frozenset({"FailOnRecompileLimitHit", "FailOnCacheLimitHit", "RecompileLimitExceeded"}),
    ),
    _Rule(
        FailureKind.ILLEGAL_ACCESS,
        re.compile(
            r"illegal memory access|device-side assert triggered|misaligned address"
            r"|unspecified launch failure|an illegal instruction was encountered"
            r"|invalid program counter|hardware stack error|ERROR_?ILLEGAL_?ADDRESS"
            r"|Memory access fault by GPU",
            re.IGNORECASE,
        ),
    ),
    # Triton's word for a block that is too large; Inductor calls it OutOfMemoryError.
    _Rule(
        FailureKind.TRITON_BUILD,
        re.compile(r"out of resources?: "),
        frozenset({"OutOfResources"}),
    ),
    _Rule(FailureKind.OOM),
    _Rule(
        FailureKind.STACK_INCOMPATIBLE,
        re.compile(
            r"cannot import name '\w+' from '(triton|torch\w*|transformers|numpy|nvidia|cuda)\b"
            r"|No module named '(triton|torch|transformers|numpy)\.[\w.]+'(?!; '\w+' is not a pack)"
            r"|module '(triton|torch|transformers|numpy)\b[\w.]*' has no attribute"
            r"|'?(CompiledKernel|KernelMetadata|AttrsDescriptor|ASTSource|GPUTarget|JITFunction)\b"
            r".{0,200}(has no attribute|does not has any of the attributes)"
            r"|\b(launcher|AttrsDescriptor|ASTSource|make_launcher)\S{0,99}\(\) "
            r"(missing|got|takes) "
            r"|undefined symbol: |version `\w+' not found"
            r"|no kernel image is available|driver on your system is too old"
            r"|driver version is insufficient|compiled with an unsupported toolchain"
            r"|compiled with different CUDA|operator torchvision::\w+ does not exist"
            r"|numpy\.dtype size changed|cannot be run in\s+NumPy 2"
            r"|require users to upgrade torch|is required for a normal functioning of this module"
        ),
    ),
    _Rule(
        FailureKind.TRITON_BUILD,
        re.compile(
            r"\btriton\.(compiler|runtime)\.(errors?\.)?\w*(Error|Failure|Construct|OutOfRes)"
            r"|Cannot find a working triton installation|too old to be supported by the triton"
            r"|Failed to find C compiler|libcuda\.so cannot (be )?found|Triton Error \["
            r"|ptxas\b.{0,200}(fail|fatal|error)|PTXASError|Internal Triton PTX codegen error"
            r"|PassManager::run failed|No valid triton configs|0 active drivers"
            r"|Failed to (build|launch|compile) .{0,200}triton"
            r"|triton\b.{0,200} (compilation|build) failed",
            re.IGNORECASE,
        ),
        _TRITON_CLASSES,
        then=(
            re.compile(r"Command '?\[", re.IGNORECASE),
            re.compile(
                r"cuda_utils|__triton_launch|triton_\.cpython|[/\\]triton[/\\]", re.IGNORECASE
            ),
        ),
    ),
    _Rule(
        FailureKind.CUDAGRAPH_ASSERTION,
        re.compile(
            r"in the cudagraph pool (but not accounted|not tracked)|storage data ptrs are not alloc"
            r"|len\(\w*tensor_weakrefs\)"
        ),
    ),
)
"""In each exception the first that fits, in this order."""

_TRITON_SOURCE = re.compile(r"^at \d+:\d+:")
_IMPORT = frozenset({"ImportError", "ModuleNotFoundError"})
_MISFIT = _IMPORT | {"AttributeError", "TypeError"}
_FAILED_IMPORT = re.compile(r"^Failed to import .+ because of the following error", re.DOTALL)
_INDUCTOR = _Rule(
    FailureKind.INDUCTOR_ERROR,
    re.compile(r"\btorch\._inductor\.exc\.|C\+\+ compile error|No working C\+\+ compiler found"),
    frozenset({"InductorError", "LoweringException", "CppCompileError", "InvalidCxxCompiler"}),
)
_BACKEND = re.compile(r"backend='(?!.{0,200}(inductor|compile_fx|debug_wrapper|\?))")
_IN_INDUCTOR = re.compile(r"(^|/)torch/_inductor/")
_IN_CUDAGRAPHS = re.compile(r"(^|/)cudagraph_(trees|utils)\.py$")
_IN_TRITON = re.compile(r"(^|/(site|dist)-packages/)triton/")
_AT_BORDER = re.compile(
    r"(^|/(site|dist)-packages/)triton/(compiler|backends)/|(^|/)torch/utils/_triton\.py$"
    r"|(^|/)torch/_inductor/runtime/(hints|triton_\w+|static_cuda\w*)\.py$"
)
"""Where torch and Triton call each other; elsewhere in Triton it may be a kernel's own mistake."""
_GENERATED = re.compile(r"(^|/)c[a-z2-7]{40,}\.py$")
"""Inductor names its generated code by a digest in base 32."""


def classify(failure: Failure, status: RowStatus | None = None) -> FailureKind:
    """Name a failure.

    Args:
        failure: any text at all; nothing in it raises.
        status: what became of the iteration, where that is known.
    """
    if status is RowStatus.TIMEOUT:
        return FailureKind.TIMEOUT  # an exception in the log of a process that hangs is no end
    specific = _specific(failure)
    if specific is not None:
        return specific
    if status is RowStatus.KILLED or (failure.exception is None and DEATH.match(failure.message)):
        return FailureKind.SIGNAL
    if status is RowStatus.OOM:
        return FailureKind.OOM
    return _general(failure)


def _specific(failure: Failure) -> FailureKind | None:
    """Ask the exceptions one by one, the last first: an earlier one may have been handled."""
    last = list(_unwrapped(failure.exception or "", failure.message))
    found = _named(last) or _placed(last, failure.frame)
    if found is not None:
        return found
    causes = (_named(_unwrapped(each.exception, each.message)) for each in failure.causes[::-1])
    return next((kind for kind in causes if kind is not None), None)


def _unwrapped(name: str, message: str) -> Iterator[tuple[str, str]]:
    """Yield an exception and those that its message quotes, outermost first."""
    yield name, message
    if name.rpartition(".")[2] not in _WRAPPERS:
        return
    for line in message.splitlines()[:_MOST_LINES]:
        quoted: str | None = line.partition(" raised:")[2] or line
        for _ in range(_MOST_NESTED):
            found = _RAISED.match(quoted or "")
            if found is None or not _CLASS.search(found[1]):
                break
            quoted = found[2]
            yield found[1], found[2] or ""


def _named(links: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> FailureKind | None:
    """Find the rule that fits one of an exception and what it quotes, the most specific rule."""
    known = list(links)
    for rule in _RULES:
        for name, message in known:
            out_of_memory = rule.kind is FailureKind.OOM and says_out_of_memory(name, message)
            if out_of_memory or rule.fits(name, message):
                return rule.kind
    if any(_is_triton_source(name, message) for name, message in known):
        return FailureKind.TRITON_BUILD
    return None


def _is_triton_source(name: str, message: str) -> bool:
    """Tell a compile error of Triton from those of other compilers with a class of that name."""
    if name.rpartition(".")[2] != "CompilationError":
        return False
    return name.startswith("triton.") or _TRITON_SOURCE.match(message) is not None


def _placed(links: list[tuple[str, str]], frame: Frame | None) -> FailureKind | None:
    """Name what the terminal frame tells together with the class."""
    if frame is None:
        return None
    file = frame.file.replace("\\", "/")
    classes = {name.rpartition(".")[2] for name, _ in links}
    if "AssertionError" in classes and _IN_CUDAGRAPHS.search(file):
        return FailureKind.CUDAGRAPH_ASSERTION
    inside = classes & _IMPORT or len(links) > 1
    misfit = _AT_BORDER.search(file) or (inside and _IN_TRITON.search(file))
    if not classes & _MISFIT or not misfit:
        return None
    if any(message == "No module named 'triton'" for _, message in links):
        return FailureKind.TRITON_BUILD
    return FailureKind.STACK_INCOMPATIBLE


def _general(failure: Failure) -> FailureKind:
    """Name what nothing more specific names: compiler, import."""
    chain = [(failure.exception or "", failure.message)]
    chain += [(each.exception, each.message) for each in failure.causes]
    if any(_is_inductor(*link) for link in chain) or _raised_in_inductor(failure.frame):
        return FailureKind.INDUCTOR_ERROR
    if chain[0][0] in _IMPORT or _FAILED_IMPORT.match(failure.message):
        return FailureKind.IMPORT_ERROR
    return FailureKind.OTHER


def _is_inductor(name: str, message: str) -> bool:
    """Tell Inductor's failures; a backend that someone else brings is not Inductor."""
    if name.rpartition(".")[2] == "BackendCompilerFailed":
        return _BACKEND.search(message.partition("\n")[0]) is None
    return _INDUCTOR.fits(name, message)


def _raised_in_inductor(frame: Frame | None) -> bool:
    if frame is None:
        return False
    file = frame.file.replace("\\", "/")
    places = (_IN_INDUCTOR, _IN_CUDAGRAPHS, _GENERATED)
    return any(place.search(file) for place in places)
