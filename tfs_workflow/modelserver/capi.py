"""TensorFlow's C API through cffi in ABI mode; the only module that knows where the library lies."""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path
from typing import Any

import cffi

from tfs_workflow.modelserver.status import Code, StatusError

_DECLARATIONS = """
typedef struct TF_Status TF_Status;
typedef struct TF_Graph TF_Graph;
typedef struct TF_Session TF_Session;
typedef struct TF_SessionOptions TF_SessionOptions;
typedef struct TF_Operation TF_Operation;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_Buffer { const void* data; size_t length; void* data_deallocator; } TF_Buffer;
typedef struct TF_Output { TF_Operation* oper; int index; } TF_Output;
typedef struct TF_TString { uint64_t words[3]; } TF_TString;

const char* TF_Version(void);
TF_Status* TF_NewStatus(void);
void TF_SetStatus(TF_Status*, int, const char*);
int TF_GetCode(const TF_Status*);
const char* TF_Message(const TF_Status*);
TF_Buffer* TF_NewBuffer(void);
void TF_DeleteBuffer(TF_Buffer*);
TF_SessionOptions* TF_NewSessionOptions(void);
void TF_SetConfig(TF_SessionOptions*, const void*, size_t, TF_Status*);
void TF_DeleteSessionOptions(TF_SessionOptions*);
TF_Graph* TF_NewGraph(void);
void TF_DeleteGraph(TF_Graph*);
TF_Operation* TF_GraphOperationByName(TF_Graph*, const char*);
int TF_OperationNumOutputs(TF_Operation*);
int TF_OperationOutputType(TF_Output);
TF_Session* TF_LoadSessionFromSavedModel(const TF_SessionOptions*, const TF_Buffer*, const char*,
    const char* const*, int, TF_Graph*, TF_Buffer*, TF_Status*);
void TF_CloseSession(TF_Session*, TF_Status*);
void TF_DeleteSession(TF_Session*, TF_Status*);
void TF_SessionRun(TF_Session*, const TF_Buffer*, const TF_Output*, TF_Tensor* const*, int, const TF_Output*,
    TF_Tensor**, int, const TF_Operation* const*, int, TF_Buffer*, TF_Status*);
TF_Tensor* TF_AllocateTensor(int, const int64_t*, int, size_t);
TF_Tensor* TF_NewTensor(int, const int64_t*, int, void*, size_t, void (*)(void*, size_t, void*), void*);
void TF_DeleteTensor(TF_Tensor*);
TF_Tensor* TF_TensorMaybeMove(TF_Tensor*);
int TF_TensorType(const TF_Tensor*);
int TF_NumDims(const TF_Tensor*);
int64_t TF_Dim(const TF_Tensor*, int);
size_t TF_TensorByteSize(const TF_Tensor*);
void* TF_TensorData(const TF_Tensor*);
void TF_StringInit(TF_TString*);
void TF_StringCopy(TF_TString*, const char*, size_t);
const char* TF_StringGetDataPointer(const TF_TString*);
size_t TF_StringGetSize(const TF_TString*);
void TF_StringDealloc(TF_TString*);
"""

ffi: Any = cffi.FFI()
ffi.cdef(_DECLARATIONS)
lib: Any = None
_threads = threading.local()


class LibraryMissing(Exception):
    """TensorFlow's C library is not installed, or cannot be loaded on this machine."""


def load() -> None:
    """Open the library; takes a few tenths of a second, and without the GIL for most of them."""
    global lib  # noqa: PLW0603  # one library a process, opened once at start
    # TensorFlow reads it when it logs first: informational lines would drown the server's own.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    directory = _library_directory()
    try:
        # Local: its many symbols must not become those of other extension modules, such as gRPC's.
        lib = ffi.dlopen(str(directory / "libtensorflow_cc.so.2"), ffi.RTLD_LOCAL | ffi.RTLD_LAZY)
    except OSError as error:
        raise LibraryMissing(str(error)) from error


def version() -> str:
    """TensorFlow's version, such as 2.21.0."""
    return str(ffi.string(lib.TF_Version()).decode())


def new_status() -> Any:
    """This thread's status object; each call into the library overwrites it."""
    status = getattr(_threads, "status", None)
    if status is None:
        status = _threads.status = lib.TF_NewStatus()
    return status


def check(status: Any) -> None:
    """Raises StatusError when the last call failed."""
    code = lib.TF_GetCode(status)
    if code:
        message = ffi.string(lib.TF_Message(status)).decode("utf-8", "surrogateescape")
        lib.TF_SetStatus(status, 0, b"")  # some calls leave a status as it was when they succeed
        raise StatusError(Code(code), message)


def _library_directory() -> Path:
    """Where the wheel's libraries lie; found without importing anything of TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    for location in map(Path, locations):
        if (location / "libtensorflow_cc.so.2").exists():
            return location
    raise LibraryMissing("libtensorflow_cc.so.2 is not installed")
