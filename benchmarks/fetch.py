"""Fetching the tutorial's model against a plain `git clone` of its repository: bytes sent, bytes kept, seconds.

Both go through a relay that counts bytes at the socket, from git's own HTTP server over a repository with a real
history: the same layout as tensorflow/serving, a few hundred commits, tens of megabytes, the same in every run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.lab import alternating, report
from tests.support.faulty import serving
from tests.support.git_server import MODEL_PATH, TAG, GitServer, tutorial_repository
from tests.support.relay import CountingRelay
from tfs_workflow.config.types import GitSource
from tfs_workflow.sources.fetch import fetch
from tfs_workflow.state.project_state import open_state
from tfs_workflow.state.workspace import Workspace

COMMITS = 400
FILE_BYTES = 60_000
ROUNDS = 5


def size_bytes(directory: Path) -> int:
    """Bytes of all files below, as the file system counts them."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def clone(url: str, target: Path, *options: str) -> None:
    """What a user does by hand."""
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", TAG, *options, "--", url, str(target)], check=True, stderr=-3
    )


def sparse_clone(url: str, target: Path, *, cone: bool) -> None:
    """What an expert does by hand: shallow, blob-filtered, sparse."""
    clone(url, target, "--depth=1", "--filter=blob:none", "--sparse", "--no-checkout")
    mode = "--cone" if cone else "--no-cone"
    for words in (["sparse-checkout", "set", mode, MODEL_PATH], ["checkout", "--quiet"]):
        subprocess.run(["git", "-C", str(target), *words], check=True, stderr=-3)


def fetch_ours(url: str, target: Path) -> None:
    """What `setup` does for one model."""
    workspace = Workspace.create(target, "bench")
    with workspace.exclusive(), open_state(workspace) as session:
        fetch("half_plus_two", [GitSource(git=url, ref=TAG, path=MODEL_PATH)], session, target)


def main() -> int:
    """Print the ratios; exit 1 when one is missed."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        repository = tutorial_repository(root / "repositories" / "serving.git", COMMITS, FILE_BYTES)
        print(f"repository: {COMMITS} commits, {size_bytes(repository.path) / 1e6:.1f} MB")
        with serving(GitServer(root / "repositories")) as server, CountingRelay(server.port) as relay:
            return compare(f"http://127.0.0.1:{relay.port}/serving.git", root, relay)


def compare(url: str, root: Path, relay: CountingRelay) -> int:
    """Run all ways in turn and print what each took."""
    sent: dict[str, int] = {}
    kept: dict[str, int] = {}

    def measured(name: str, way: Callable[[str, Path], None]) -> Callable[[], None]:
        def run() -> None:
            relay.take_bytes()
            way(url, root / name)
            sent[name], kept[name] = relay.take_bytes(), size_bytes(root / name)
            shutil.rmtree(root / name)

        return run

    ways: dict[str, Callable[[str, Path], None]] = {
        "ours": fetch_ours,
        "clone": clone,
        "cone": lambda url, target: sparse_clone(url, target, cone=True),
        "no_cone": lambda url, target: sparse_clone(url, target, cone=False),
    }
    taken = alternating(ROUNDS, **{name: measured(name, way) for name, way in ways.items()})
    for name in ways:
        print(f"  {name:8} sent {sent[name]:>12,} B   kept {kept[name]:>12,} B   {taken[name]:.3f} s")
    good = report("bytes sent, setup / git clone", sent["ours"], sent["clone"], 0.05, "B")
    good = report("bytes kept, setup / git clone", kept["ours"], kept["clone"], 0.05, "B") and good
    good = report("seconds, setup / git clone", taken["ours"], taken["clone"], 1) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
