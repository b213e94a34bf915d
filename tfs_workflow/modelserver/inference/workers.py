"""A bounded pool of threads for what may not run on the event loop.

concurrent.futures has an executor like this, but its queue has no bound: under overload requests would wait longer and
longer, and be computed after their clients have left. Here the queue is bounded, and a request beyond it gets
UNAVAILABLE at once (HTTP 503 with Retry-After). The threads are daemons, since a run inside TensorFlow cannot be called
off when the server ends. Results travel by completions.py; a piece of work must not raise.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.status_error import StatusError

Work = Callable[[], None]


class Workers:
    """Threads that take work in order; started when first needed, so that an idle server stays small."""

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self._name = name
        self._threads = max(threads, 1)
        self._max_waiting = max_waiting
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._started = 0
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, work: Work) -> None:
        """Run it on a thread; raises StatusError UNAVAILABLE when too much is waiting already."""
        if self._queue.qsize() >= self._max_waiting:
            raise StatusError(Code.UNAVAILABLE, "Too many requests are waiting; try again later.")
        self._queue.put(work)
        with self._lock:
            # An idle thread for each waiting piece of work is enough; the count may be off by a moment, which costs a
            # thread.
            if self._idle >= self._queue.qsize() or self._started >= self._threads:
                return
            self._started += 1
        # Outside of the lock, since starting a thread takes a while.
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            work = self._queue.get()
            with self._lock:
                self._idle -= 1
            work()
