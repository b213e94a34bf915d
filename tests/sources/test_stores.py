"""Models in S3, Google Cloud Storage and the Hugging Face Hub, from servers on loopback that speak their protocols.

S3 is moto's server and Google's gcp-storage-emulator; the Hub is a fake of ours, since none is to be had.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.conftest import Fetching
from tests.sources.test_git import content
from tests.support.faulty import FaultyServer, serving
from tests.support.git_server import model_files
from tests.support.object_stores import COMMIT, GoogleFront, Hub, StoreFront, google_server, s3_server
from tfs_workflow.config.types import StoreSource
from tfs_workflow.errors import FetchFailedError, RunInterruptedError, SourceUnreachableError
from tfs_workflow.sources.fetch import fetch
from tfs_workflow.sources.transfer import ATTEMPTS, TransferContext
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.workspace import Workspace

pytestmark = pytest.mark.slow

S3 = StoreSource(store="s3://models/release/half_plus_two")
GS = StoreSource(store="gs://models/release/half_plus_two/")
HF = StoreSource(store="hf://owner/name/release/half_plus_two")
SECRET = "s3cr3t-of-the-user"
FILES = {
    **model_files("release/half_plus_two/"),
    "release/README": b"x",
    "release/half_plus_two_more/1/x": b"x",
    "release/half_plus_two/empty/": b"",
}


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def gs_address() -> Iterator[str]:
    with google_server() as address:
        yield address


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StoreFront]:
    with serving(StoreFront(s3_address)) as front:
        front.put("models", FILES)
        for name, value in {
            "AWS_ENDPOINT_URL": front.url,
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield front


@pytest.fixture
def gs(gs_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreFront]:
    with serving(GoogleFront(gs_address)) as front:
        front.put("models", FILES)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
        yield front


@pytest.fixture
def hf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub("owner/name", FILES)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        yield hub


@pytest.fixture(params=[S3, GS, HF], ids=["s3", "gs", "hf"])
def stored(request: pytest.FixtureRequest) -> tuple[StoreSource, FaultyServer]:
    """A source and the server in front of its store."""
    source: StoreSource = request.param
    return source, request.getfixturevalue(source.store[:2])


Stored = tuple[StoreSource, FaultyServer]


def test_only_what_lies_below_the_path_is_fetched_and_pinned(fetching: Fetching, stored: Stored) -> None:
    source, server = stored
    found = fetching(source)
    assert content(found.base_path) == model_files()
    assert found.commit == (COMMIT if source is HF else "")
    assert set(found.locked.files) == set(model_files())
    assert fetching.progress
    server.requests.clear()
    assert not fetching(source).fresh
    assert server.requests == []
    assert fetching(source, update=True, locked=found.locked).commit == found.commit


def test_a_moved_model_is_refused_when_locked(fetching: Fetching, s3: StoreFront) -> None:
    locked = fetching(S3).locked
    s3.put("models", {"release/half_plus_two/00000123/assets/foo.txt": b"moved"})
    with pytest.raises(FetchFailedError, match="not the one in the lock file"):
        fetching(S3, update=True, locked=locked)
    assert content(fetching.base_path) == model_files()


def test_what_is_not_there_is_not_retried(fetching: Fetching, stored: Stored) -> None:
    source, _ = stored
    wrong = source.store.replace("half_plus_two", "nowhere")
    for address in (wrong, source.store.replace("models", "no-such-bucket").replace("owner", "nobody")):
        with pytest.raises(FetchFailedError) as failure:
            fetching(StoreSource(store=address))
        assert not isinstance(failure.value, SourceUnreachableError)
        assert address.rstrip("/") in failure.value.where
        assert failure.value.fix
    assert fetching.pauses == []


@pytest.mark.parametrize("source", [S3, HF], ids=["s3", "hf"])
def test_a_fault_that_passes_is_met_again_and_one_that_stays_is_unreachable(
    fetching: Fetching, request: pytest.FixtureRequest, source: StoreSource
) -> None:
    server: FaultyServer = request.getfixturevalue(source.store[:2])
    fault = server.fail(path="GET", status=503, times=2)
    assert fetching(source).fresh
    assert fault.met == 2
    assert fetching.pauses
    server.faults.clear()
    fault = server.fail(path="GET", status=503)
    with pytest.raises(SourceUnreachableError):
        fetching(source, update=True)
    assert fault.met >= ATTEMPTS  # the Hub's own client retries, too
    assert content(fetching.base_path) == model_files()


def test_an_unreachable_store_moves_on_to_the_next_source(
    fetching: Fetching, s3: StoreFront, hf: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    found = fetching(S3, HF)
    assert "store cannot be reached" in found.fell_back[0]
    assert found.commit == COMMIT


@pytest.mark.parametrize("source", [S3, GS, HF], ids=["s3", "gs", "hf"])
def test_a_refusal_names_where_credentials_go_and_shows_none(
    fetching: Fetching, request: pytest.FixtureRequest, source: StoreSource
) -> None:
    request.getfixturevalue(source.store[:2]).fail(path="GET", status=403, body=b'{"error": {"code": 403}}')
    with pytest.raises(FetchFailedError) as failure:
        fetching(source)
    assert not isinstance(failure.value, SourceUnreachableError), failure.value
    assert any(word in failure.value.fix for word in ("aws configure", "gcloud auth", "hf auth login"))
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize("source", [S3, GS, HF], ids=["s3", "gs", "hf"])
def test_a_transfer_is_cancelled_although_the_store_is_silent(
    workspace: Workspace, request: pytest.FixtureRequest, source: StoreSource, tmp_path: Path
) -> None:
    server: FaultyServer = request.getfixturevalue(source.store[:2])
    server.fail(path="GET", silent_after_bytes=10)
    cancelled = threading.Event()

    def cancel() -> None:
        server.reached.wait()
        cancelled.set()

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(RunInterruptedError):
        fetch("m", [source], StateSession(workspace), tmp_path, TransferContext(cancelled=cancelled))
    assert list((workspace.path / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("store", "package", "extra"), [(S3, "s3fs", "s3"), (GS, "gcsfs", "gs"), (HF, "huggingface_hub", "hf")]
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, store: StoreSource, package: str, extra: str
) -> None:
    (tmp_path / "tfs.yaml").write_text(
        f"project: p\nworkspace: ws\nruntime: embedded\nmodels: {{m: {{source: {{store: '{store.store}'}}}}}}\n"
    )
    hidden = f"import sys; sys.modules['{package}'] = None; from tfs_workflow.cli.program import program; "
    argv = [sys.executable, "-c", hidden + "program.run(['tfs', 'setup'])"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert f"pip install 'tfs-workflow[{extra}]'" in done.stderr
