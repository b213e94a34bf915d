"""A git server over HTTP (git's own http-backend), with faults in front of it, and repositories for it."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.faulty import CHUNK_BYTES, FaultyServer, Request, Response
from tests.support.needs import missing

ROOT = Path(__file__).parents[2]
MODEL_PATH = "tensorflow_serving/servables/tensorflow/testdata/saved_model_half_plus_two_cpu"
SHARED_MODEL = ROOT.parent / "shared" / "testdata" / "models" / "saved_model_half_plus_two_cpu"
BUNDLED_MODEL = ROOT / "tfs_workflow" / "bundled" / "half_plus_two"
TAG, BRANCH = "2.20.0", "r2.20"


class GitServer(FaultyServer):
    """Serves every bare repository below `root`; without `protocol_v2` it behaves like servers of before 2018."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.protocol_v2 = True

    def answer(self, request: Request) -> Response:
        """Run git's CGI program."""
        path, _, query = request.path.partition("?")
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", "") if self.protocol_v2 else "",
        }
        process = subprocess.Popen(
            ["git", "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        if process.stdin is None or process.stdout is None:
            raise TypeError("both are pipes")
        process.stdin.write(request.body)
        process.stdin.close()
        headers = []
        while line := process.stdout.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers.append((name, value))
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        return Response(status, [h for h in headers if h[0] != "Status"], _output(process))


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    with process:
        try:
            while process.stdout and (chunk := process.stdout.read(CHUNK_BYTES)):
                yield chunk
        finally:
            process.kill()


class BareRepository:
    """A bare repository that tests write to with `git fast-import`; the same calls make the same commits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._commits = 0
        if path.exists():
            return
        try:
            subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=master", str(path)], check=True)
        except FileNotFoundError:
            missing("git is not installed")
        self.configure("uploadpack.allowFilter", "true")

    def configure(self, key: str, value: str) -> None:
        self.git("config", key, value)

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(["git", "-C", str(self.path), *arguments], input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, bytes | None], branch: str = "master", modes: Mapping[str, str] = {}) -> str:
        """Add a commit with these files written, or removed where the content is None; its full hash."""
        self.commit_all([files], branch, modes)
        return self.git("rev-parse", branch)

    def commit_all(
        self,
        commits: Iterator[Mapping[str, bytes | None]] | list[Mapping[str, bytes | None]],
        branch: str = "master",
        modes: Mapping[str, str] = {},
    ) -> None:
        """Add one commit for each of these."""
        process = subprocess.Popen(
            ["git", "-C", str(self.path), "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE
        )
        with process:
            if process.stdin is None:
                raise TypeError("stdin is a pipe")
            known = subprocess.run(
                ["git", "-C", str(self.path), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"],
                capture_output=True,
                check=False,
            )
            parent = b"from %s\n" % known.stdout.strip() if known.stdout else b""
            for files in commits:
                self._commits += 1
                committer = b"committer T <t@example.org> %d +0000\n" % (1_500_000_000 + 86400 * self._commits)
                process.stdin.write(b"commit refs/heads/%s\n%sdata 1\nc\n%s" % (branch.encode(), committer, parent))
                parent = b""
                for name, content in files.items():
                    process.stdin.write(_change(name, content, modes.get(name, "100644")))
        if process.returncode:
            raise RuntimeError(f"git fast-import exited {process.returncode}")


def _change(name: str, content: bytes | None, mode: str) -> bytes:
    if content is None:
        return b"D %s\n" % name.encode()
    if mode == "160000":
        return b"M 160000 %s %s\n" % (content, name.encode())
    return b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), name.encode(), len(content), content)


def model_files(prefix: str = "") -> dict[str, bytes | None]:
    """The tutorial's half_plus_two by path below its base path, behind `prefix`."""
    base_path = next((path for path in (SHARED_MODEL, BUNDLED_MODEL) if path.is_dir()), None)
    if base_path is None:
        missing("neither ../shared/testdata/models nor the bundled model is here")
    paths = sorted(path for path in base_path.rglob("*") if path.is_file())
    return {prefix + path.relative_to(base_path).as_posix(): path.read_bytes() for path in paths}


def tutorial_repository(path: Path, commits: int = 12, file_bytes: int = 40_000) -> BareRepository:
    """The layout of tensorflow/serving: the model among large files, a history, the tag 2.20.0 and a branch r2.20."""
    repository = BareRepository(path)
    repository.commit_all(_history(commits, file_bytes))
    repository.git("tag", TAG, "master~1")
    repository.git("branch", BRANCH, "master~2")
    repository.git("repack", "-adq")
    return repository


def _history(commits: int, file_bytes: int) -> Iterator[Mapping[str, bytes | None]]:
    """Commits that each rewrite a few files; the model is there from the first on."""
    chance = random.Random(2016)
    first: dict[str, bytes | None] = {"README.md": b"TensorFlow Serving\n", **model_files(f"{MODEL_PATH}/")}
    for other in range(20):
        neighbour = f"{MODEL_PATH.rpartition('/')[0]}/other_{other}/00000123/saved_model.pb"
        first[neighbour] = chance.randbytes(file_bytes // 4)
    yield first
    for _ in range(commits - 1):
        names = [f"tensorflow_serving/{chance.choice('abcdefgh')}/{chance.randrange(30)}.cc" for _ in range(3)]
        yield {name: chance.randbytes(chance.randrange(100, file_bytes)) for name in names}
