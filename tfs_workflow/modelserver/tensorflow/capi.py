"""TensorFlow's C API (capi.h) through cffi in ABI mode; the only module that looks for the library.

ABI mode needs no compiler on the user's machine and no wheel for each platform: declarations are compiled beforehand
into `capi_ffi.py` (tools/compile_capi.py), and the library is TensorFlow's own, found in the installed wheel. The price
is that nothing checks the declarations against the library but the tests.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.status_error import StatusError
from tfs_workflow.modelserver.tensorflow import capi_ffi

ffi: Any = capi_ffi.ffi
lib: Any = None
# A status object for each thread, since concurrent calls would overwrite a common one.
_threads = threading.local()


class LibraryMissingError(Exception):
    """TensorFlow's C library is not installed, or cannot be loaded on this machine."""


def load() -> None:
    """Open the library; takes a few tenths of a second, nearly all of it without the GIL."""
    global lib  # noqa: PLW0603  # one library a process, opened once at start
    # TensorFlow reads it when it logs first: informational lines would drown the server's own.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    # Let the calling thread do its share of a matrix product; to wake another and wait takes longer.
    os.environ.setdefault("TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD", "true")
    path = str(_library_directory() / "libtensorflow_cc.so.2")
    # Local: its many symbols must not become those of other extension modules, such as gRPC's.
    flags = ffi.RTLD_LOCAL | ffi.RTLD_LAZY
    # ffi.dlopen holds the GIL, a function that ctypes calls does not. The second call finds the library open, or tells
    # why it cannot be opened.
    ctypes.CDLL(None).dlopen(os.fsencode(path), flags)
    try:
        lib = ffi.dlopen(path, flags)
    except OSError as error:
        raise LibraryMissingError(str(error)) from error


def version() -> str:
    """TensorFlow's version, such as 2.20.0."""
    return str(ffi.string(lib.TF_Version()).decode())


def new_status() -> Any:
    """This thread's status object; each call into the library overwrites it."""
    status = getattr(_threads, "status", None)
    if status is None:
        status = _threads.status = lib.TF_NewStatus()
    return status


def check(status: Any) -> None:
    """Raises StatusError when the last call failed.

    The message may hold bytes that are not UTF-8, as surrogate escapes: it can quote a request.
    """
    # 0 is OK; the numbers are those of error_codes.proto.
    code = lib.TF_GetCode(status)
    if code:
        message = ffi.string(lib.TF_Message(status)).decode("utf-8", "surrogateescape")
        lib.TF_SetStatus(status, 0, b"")  # some calls leave a status as it was when they succeed
        raise StatusError(Code(code), message)


@contextmanager
def session_options(config: bytes) -> Iterator[Any]:
    """Options of a session with a serialized ConfigProto; raises StatusError."""
    options, status = lib.TF_NewSessionOptions(), new_status()
    try:
        lib.TF_SetConfig(options, config, len(config), status)
        check(status)
        yield options
    finally:
        lib.TF_DeleteSessionOptions(options)


def release_free_memory() -> None:
    """Give the system what was freed and is kept for later; glibc alone can, and others keep less."""
    with suppress(AttributeError):
        lib.malloc_trim(0)


def _library_directory() -> Path:
    """Where the wheel's libraries lie; found without importing anything of TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    for location in map(Path, locations):
        if (location / "libtensorflow_cc.so.2").exists():
            return location
    raise LibraryMissingError("libtensorflow_cc.so.2 is not installed")
