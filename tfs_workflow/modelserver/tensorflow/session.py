"""A loaded SavedModel: one TensorFlow session, run by tensor names.

The C API takes arrays of graph operations, not names. Looking these up and allocating the arrays would repeat for every
run, although a model is called with the same few combinations of inputs and outputs. So each combination is resolved
once (`_Call`), and a signature from one float tensor to another gets a prepared run that reuses even its input tensor
(`FloatCall`).

Unloading waits for runs. The C API does not wait for runs when it deletes a session, so runs are counted: `close` stops
new ones, waits for the last, and only then frees. A run that comes too late gets SessionClosedError.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument
from tfs_workflow.modelserver.tensorflow import c_tensors, capi
from tfs_workflow.modelserver.tensorflow.loading import loader
from tfs_workflow.modelserver.tensorflow.loading.loader import Loaded
from tfs_workflow.protos import session_pb2

# The caller's thread computes: half the time of handing a small graph to TensorFlow's own pool and back.
CALLERS_THREAD = session_pb2.RunOptions(inter_op_thread_pool=-1)


FloatContent: TypeAlias = "bytes | memoryview | array[float]"
ShapeCheck = Callable[[Sequence[int]], None]


class SessionClosedError(StatusError):
    """The version was unloaded between finding it and running it; its successor is there already, if there is one."""

    def __init__(self) -> None:
        super().__init__(Code.FAILED_PRECONDITION, "Session has been closed.")


class _Call(NamedTuple):
    """The C arrays of one combination of feeds and fetches, made once."""

    feeds: Any
    feed_count: int
    fetches: Any
    fetch_count: int


class Session:
    """One version of one model in memory; runs may come from many threads at once."""

    def __init__(
        self, version_dir: Path, tags: Sequence[str], config: session_pb2.ConfigProto, large_bytes: int
    ) -> None:
        """Load it, by names where its file has so many bytes; raises StatusError with TensorFlow's own message."""
        self._loaded = loader.load(version_dir, tags, config, large_bytes)
        self.signatures, self._guard = self._loaded.signatures, self._loaded.guard
        self._calls: dict[tuple[tuple[str, ...], tuple[str, ...]], _Call] = {}
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._running = 0
        self._closing = False

    def run(self, feeds: Sequence[tuple[str, Tensor]], fetches: Sequence[str], options: bytes = b"") -> list[Tensor]:
        """Compute the fetched tensors from the fed ones; `options` are serialized RunOptions.

        The results are in the order of `fetches`; a name is NODE or NODE:INDEX. Raises StatusError with TensorFlow's
        own message, and SessionClosedError when the version is being unloaded.
        """
        if self._guard is not None:
            self._guard.check(feeds)
        names = tuple([name for name, _ in feeds]), tuple(fetches)
        known = self._calls.get(names)
        call = known or self._new_call(*names)
        self.enter()
        try:
            results = self._run(call, feeds, options)
            if known is None:
                self._keep(names, call, results)
            return results
        finally:
            self.leave()

    def close(self) -> None:
        """Free the model once the last run has ended; a run that comes later is refused."""
        with self._idle:
            self._closing = True
            while self._running:
                self._idle.wait()
        self._loaded.free()

    def _run(self, call: _Call, feeds: Sequence[tuple[str, Tensor]], options: bytes) -> list[Tensor]:
        ffi, status = capi.ffi, capi.new_status()
        made = [c_tensors.to_c(tensor) for _, tensor in feeds]
        results = ffi.new("TF_Tensor*[]", call.fetch_count)
        run_options = ffi.NULL
        if options:
            content = ffi.from_buffer(options)
            run_options = ffi.new("TF_Buffer*", (content, len(options), ffi.NULL))
        try:
            self._loaded.run(
                self._loaded.session, run_options, call.feeds, made, call.feed_count,
                call.fetches, results, call.fetch_count, ffi.NULL, 0, ffi.NULL, status,
            )  # fmt: skip
            capi.check(status)
            return [c_tensors.from_c(results[i]) for i in range(call.fetch_count)]
        finally:
            _delete(made)
            _delete(result for result in results if result)

    def _new_call(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> _Call:
        return _Call(self._loaded.ports(feeds), len(feeds), self._loaded.ports(fetches), len(fetches))

    def _keep(self, names: tuple[tuple[str, ...], tuple[str, ...]], call: _Call, results: Sequence[Tensor]) -> None:
        """Keep a combination that has run; a client chooses the filter of its outputs: bound what it can fill."""
        if len(self._calls) < 1000:
            self._calls[names] = call
            self._loaded.settle(names[1], results)

    def enter(self) -> None:
        """Count a run that begins; raises SessionClosedError when the version is being unloaded."""
        with self._lock:
            if self._closing:
                raise SessionClosedError
            self._running += 1

    def leave(self) -> None:
        """Count a run that has ended."""
        with self._lock:
            self._running -= 1
            if self._closing:
                self._idle.notify_all()

    def float_call(self, feed: str, fetch: str, options: bytes) -> FloatCall:
        """A prepared run from one float tensor to another; raises StatusError when one is not there, or not float."""
        loaded = self._loaded
        if not loaded.is_float(feed, fetch):
            raise invalid_argument(f"{feed} and {fetch} are not known to be both of type float")
        check = None if self._guard is None else partial(self._guard.check_shape, feed)
        return FloatCall(self, loaded, loaded.ports((feed,)), loaded.ports((fetch,)), options, check)


class FloatCall:
    """One feed, one fetch, both float; for the event loop alone, whose thread reuses its C arrays.

    `aliases` are the names of the two in the signature. `check` raises StatusError for a shape that must not run.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that a run needs
        self, session: Session, loaded: Loaded, feed: Any, fetch: Any, options: bytes, check: ShapeCheck | None = None
    ) -> None:
        ffi = capi.ffi
        self._check = check
        self._session, self._feed, self._fetch = session, feed, fetch
        self._c_run, self._c_session = loaded.run, loaded.session
        self._options_content = ffi.from_buffer(options)
        self._options = ffi.new("TF_Buffer*", (self._options_content, len(options), ffi.NULL))
        self._fed, self._fetched = ffi.new("TF_Tensor*[1]"), ffi.new("TF_Tensor*[1]")
        self._shape: tuple[int, ...] | None = None
        self._size_bytes = 0
        self._tensor = self._place = ffi.NULL
        # Its own, never freed: one for each model that was ever fast.
        self._status = capi.lib.TF_NewStatus()
        self.aliases = ("", "")
        # Called with a shape that is not the one of the run before; may raise StatusError, too.
        self.note_kind: Callable[[tuple[int, ...]], None] | None = None

    def run(self, shape: tuple[int, ...], content: FloatContent) -> tuple[tuple[int, ...], bytes]:
        """The shape and the content of the fetched tensor from those of the fed one.

        Content is the float32 values as they lie in memory; what follows them is left alone.
        """
        ffi, lib, status, fetched = capi.ffi, capi.lib, self._status, self._fetched
        self._session.enter()
        try:
            # A model that has kept the last input, in a variable of its own, keeps it: it is not written over.
            if shape != self._shape or not lib.TF_TensorMaybeMove(self._tensor):
                self._make_room(shape)
            fetched[0] = ffi.NULL
            ffi.memmove(self._place, content, self._size_bytes)
            self._c_run(
                self._c_session, self._options, self._feed, self._fed, 1, self._fetch, fetched, 1, ffi.NULL, 0,
                ffi.NULL, status,
            )  # fmt: skip
            result = fetched[0]
            # Without a result there was an error; with one the status need not be read.
            if not result:
                capi.check(status)
            try:
                return _shape_and_content(result)
            finally:
                lib.TF_DeleteTensor(result)
        finally:
            self._session.leave()

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """A tensor to be fed, kept for the next run with the same shape, which is therefore checked only here."""
        if self._check is not None:
            self._check(shape)
        if self.note_kind is not None:
            self.note_kind(shape)
        ffi, lib = capi.ffi, capi.lib
        self._shape, self._size_bytes = shape, 4 * math.prod(shape)
        tensor = lib.TF_AllocateTensor(_FLOAT, ffi.new("int64_t[]", shape), len(shape), self._size_bytes)
        # The tensor that was there before is freed by cffi when its last reference goes.
        self._fed[0] = self._tensor = ffi.gc(tensor, lib.TF_DeleteTensor)
        self._place = lib.TF_TensorData(tensor)


# DT_FLOAT (types.proto).
_FLOAT = 1


def _shape_and_content(result: Any) -> tuple[tuple[int, ...], bytes]:
    lib = capi.lib
    rank = lib.TF_NumDims(result)
    shape = (lib.TF_Dim(result, 0),) if rank == 1 else tuple([lib.TF_Dim(result, i) for i in range(rank)])
    size_bytes = 4 * math.prod(shape)
    return shape, capi.ffi.buffer(lib.TF_TensorData(result), size_bytes)[:] if size_bytes else b""


def _delete(made: Iterable[Any]) -> None:
    for tensor in made:
        capi.lib.TF_DeleteTensor(tensor)
