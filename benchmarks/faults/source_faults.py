"""Faults around the embedded runtime: git and archive servers, a full disk, and a clock that jumps."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.counting import Ended
from benchmarks.faults.fault import Fault, Inject
from benchmarks.faults.lab import Lab
from tests.support.archive_server import ArchiveServer
from tests.support.chain import NEVER_READY
from tests.support.git_server import MODEL_PATH, TAG, GitServer
from tests.support.models import VERSION
from tests.support.waiting import until

MONTH_S = 30 * 86_400
HOUR_S = 3600
PADDING_BYTES = 4_000_000


@dataclass
class SourceFaults:
    """A git server and a web server, and what else happens to a project without an engine."""

    git: GitServer
    archives: ArchiveServer

    def faults(self) -> list[Fault]:
        """Everything that can be done to them."""
        return [
            Fault("git server is not there", {7}, self.git_gone),
            Fault("git server answers 401", {7}, self.fetched("git", status=401)),
            Fault("git server answers 404", {7}, self.fetched("git", status=404)),
            Fault("git server answers 500 once", {0}, self.fetched("git", status=500, times=1)),
            Fault("git server answers 500 for ever", {7}, self.fetched("git", status=500)),
            Fault("git server drops the pack once", {0}, self.fetched("git", **_in_pack, times=1)),
            Fault("git server drops the pack for ever", {7}, self.fetched("git", **_in_pack)),
            Fault("archive breaks off once", {0}, self.fetched("archive", cut_after_bytes=100, times=1)),
            Fault("archive breaks off for ever", {7}, self.fetched("archive", cut_after_bytes=100)),
            Fault("workspace's disk full: `setup`", {7}, self.setup_without_space),
            Fault("workspace's disk full: `serve`", {2}, self.without_space("serve")),
            Fault("workspace's disk full: `teardown`", {0}, self.without_space("teardown", "serve")),
            Fault("disk full under `predict --output`", {2}, self.predict_without_space),
            *self.clocks(),
        ]

    def clocks(self) -> list[Fault]:
        """The tool's clock is wrong, or jumps while `serve` waits; the server's and the kernel's are not touched."""
        return [
            Fault("clock 30 days ahead: the chain", {0}, self.clock(MONTH_S)),
            Fault("clock 30 days behind: the chain", {0}, self.clock(-MONTH_S)),
            Fault("clock jumps an hour ahead while `serve` waits 3 s", {5}, self.clock_jump(HOUR_S)),
            Fault("clock jumps an hour back while `serve` waits 3 s", {5}, self.clock_jump(-HOUR_S)),
        ]

    def git_gone(self, lab: Lab) -> Ended:
        """Nobody listens."""
        with _source(lab, {"git": "http://127.0.0.1:1/serving.git", "ref": TAG, "path": MODEL_PATH}):
            return Ended.of(lab.run("setup"))

    def fetched(self, kind: str, **fault: Any) -> Inject:
        """`setup` fetches from a server with this fault."""

        def inject(lab: Lab) -> Ended:
            server = self.git if kind == "git" else self.archives
            server.fail(**fault)
            try:
                with _source(lab, self._git() if kind == "git" else self._archive()):
                    return Ended.of(lab.run("setup"))
            finally:
                server.faults.clear()

        return inject

    def _git(self) -> dict[str, Any]:
        return {"git": f"{self.git.url}/serving.git", "ref": TAG, "path": MODEL_PATH}

    def _archive(self, padding: bytes = b"") -> dict[str, Any]:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(VERSION, "model/1")
            entry = tarfile.TarInfo("model/1/assets/padding")
            entry.size = len(padding)
            archive.addfile(entry, io.BytesIO(padding))
        name = hashlib.sha256(content.getvalue()).hexdigest()[:8] + ".tar"
        url, sha256 = self.archives.put(name, content.getvalue())
        return {"archive": url, "sha256": sha256, "path": "model"}

    def setup_without_space(self, lab: Lab) -> Ended:
        """The model does not fit."""
        with _small_disk(lab), _source(lab, self._archive(os.urandom(PADDING_BYTES))):
            return Ended.of(lab.run("setup"))

    def without_space(self, verb: str, *before: str) -> Inject:
        """The verb on a disk that is full since the others."""

        def inject(lab: Lab) -> Ended:
            with _small_disk(lab):
                lab.ok("setup", *before)
                _fill(lab.workspace / "run" / "filler")
                ended = Ended.of(lab.run(verb))
                (lab.workspace / "run" / "filler").unlink()
                lab.ok("teardown", "--purge")
            return ended

        return inject

    def predict_without_space(self, lab: Lab) -> Ended:
        """The predictions do not fit; what was there under the name before is untouched, and what was done is kept."""
        rows = lab.directory / "rows.jsonl"
        rows.write_text("1.0\n" * 20_000)
        lab.ok("setup", "serve")
        small = lab.directory / "small"
        small.mkdir()
        with _mounted(small, "64k"):
            (small / "out.jsonl").write_text("before")
            ended = Ended.of(lab.run("predict", "--input", str(rows), "--output", str(small / "out.jsonl")))
            names = {path.name for path in small.iterdir()}
            if names - {"out.jsonl.partial"} != {"out.jsonl"} or (small / "out.jsonl").read_text() != "before":
                raise AssertionError(f"a half file: {list(small.iterdir())}")
        small.rmdir()
        return ended

    def clock(self, ahead_s: int) -> Inject:
        """All verbs by a wrong clock."""

        def inject(lab: Lab) -> Ended:
            with _faked(lab, ahead_s):
                return Ended.of(lab.run("setup", "serve", "predict", "status"))

        return inject

    def clock_jump(self, ahead_s: int) -> Inject:
        """The deadline of `serve` is kept by a clock that does not jump."""

        def inject(lab: Lab) -> Ended:
            lab.ok("setup")
            lab.config["server"] |= {"flags": NEVER_READY, "ready_timeout_s": 3}
            with _faked(lab, 0) as change:
                process = lab.start("serve")
                until(lambda: bool(lab.servers()), process)
                change(str(ahead_s))
                _, said = process.communicate(timeout=30)
            del lab.config["server"]["flags"], lab.config["server"]["ready_timeout_s"]
            return Ended.said(process.returncode, said)

        return inject


_in_pack: dict[str, Any] = {"path": "POST .*upload-pack", "cut_after_bytes": 300}


@contextmanager
def _source(lab: Lab, source: dict[str, Any]) -> Iterator[None]:
    """The project takes its model from here for the block."""
    model = lab.config["models"]["half_plus_two"]
    kept, model["source"] = model["source"], [source]
    try:
        yield
    finally:
        model["source"] = kept


@contextmanager
def _small_disk(lab: Lab) -> Iterator[None]:
    """The workspace lies on a file system of 2 MiB for the block."""
    small, kept = lab.directory / "small", lab.config["workspace"]
    small.mkdir()
    with _mounted(small, "2m"):
        lab.config["workspace"] = str(small / "workspace")
        try:
            yield
            if left := [path for path in lab.half_files() if path != "small"]:
                raise AssertionError(f"left on the full disk: {left}")
        finally:
            lab.config["workspace"] = kept
    small.rmdir()


@contextmanager
def _mounted(directory: Path, size: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@contextmanager
def _faked(lab: Lab, ahead_s: int) -> Iterator[Callable[[str], int]]:
    """The tool's wall clock is ahead by so much, and then by what the function that is yielded is given."""
    library, file = lab.directory / "tmp.clock.so", lab.directory / "tmp.clock"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    file.write_text(str(ahead_s))
    lab.environment |= {"LD_PRELOAD": str(library), "CLOCK_FILE": str(file)}
    try:
        yield file.write_text
    finally:
        del lab.environment["LD_PRELOAD"], lab.environment["CLOCK_FILE"]
        file.unlink()
        library.unlink()
