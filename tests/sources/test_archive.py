"""Archive sources against a real web server, with and without faults in front of it, and malicious archives."""

from __future__ import annotations

import bz2
import email.utils
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import tempfile
import threading
import time
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.sources.conftest import Fetching
from tests.sources.test_git import content
from tests.support.archive_server import ArchiveServer
from tests.support.git_server import model_files
from tfs_workflow.config.types import ArchiveSource
from tfs_workflow.errors import FetchFailedError, RunInterruptedError, SourceUnreachableError
from tfs_workflow.sources.fetch import fetch
from tfs_workflow.sources.remote.unpack import unpack
from tfs_workflow.sources.safe_directory import WriteLimits
from tfs_workflow.sources.transfer import ATTEMPTS, TransferContext
from tfs_workflow.state.project_state import StateSession
from tfs_workflow.state.workspace import Workspace

# Not in the test's own directory, as the archives are made before there is one.
OUTSIDE = Path(tempfile.gettempdir(), f"tfs-workflow-test-{uuid.uuid4().hex}")
Put = Callable[..., ArchiveSource]


@pytest.fixture
def put(archive_server: ArchiveServer) -> Put:
    """Serve these bytes; the source that names them."""

    def serve(archive: bytes, path: str = ".", name: str = "model.tar") -> ArchiveSource:
        address, sha256 = archive_server.put(name, archive)
        return ArchiveSource(archive=address, sha256=sha256, path=path)

    return serve


def tarred(files: Mapping[str, bytes | None], *members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text or b"")
            info.mode = 0o4777
            tar.addfile(info, io.BytesIO(text or b""))
        for member in members:
            tar.addfile(member)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes | None], modes: Mapping[str, int] = {}) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = modes.get(name, stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(info, text or b"")
    return buffer.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


FORMS: dict[str, Callable[[Mapping[str, bytes | None]], bytes]] = {
    "tar": tarred,
    "gz": lambda files: gzip.compress(tarred(files)),
    "xz": lambda files: lzma.compress(tarred(files)),
    "bz2": lambda files: bz2.compress(tarred(files)),
    "zip": zipped,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_archive(fetching: Fetching, put: Put, form: str) -> None:
    source = put(FORMS[form](model_files()))
    found = fetching(source)
    assert content(found.base_path) == model_files()
    assert found.commit == source.sha256
    assert fetching.progress[-1][1:] == (fetching.progress[-1][2], fetching.progress[-1][2])
    modes = {stat.S_IMODE(p.stat().st_mode) for p in found.base_path.rglob("*") if p.is_file()}
    assert modes == {0o644}


@pytest.mark.parametrize("prefix", ["half_plus_two/", "./half_plus_two/", "./"])
def test_a_single_directory_at_the_top_is_the_base_path(fetching: Fetching, put: Put, prefix: str) -> None:
    assert content(fetching(put(tarred(model_files(prefix)))).base_path) == model_files()


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_without_a_sha256_the_one_that_was_found_is_pinned(
    fetching: Fetching, archive_server: ArchiveServer, form: str
) -> None:
    address, sha256 = archive_server.put("model.bin", FORMS[form](model_files()))
    found = fetching(ArchiveSource(archive=address))
    assert found.commit == found.locked.commit == sha256
    archive_server.put("model.bin", FORMS[form]({**model_files(), "00000123/assets/foo.txt": b"moved"}))
    with pytest.raises(FetchFailedError, match="not the one in the lock file") as failure:
        fetching(ArchiveSource(archive=address), update=True, locked=found.locked)
    assert sha256 in failure.value.evidence
    assert content(fetching.base_path) == model_files()


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("tar", "tar"), ("tar.gz", "gz"), ("tgz", "gz"), ("tar.xz", "xz"), ("tar.bz2", "bz2"), ("zip", "zip")],
)
def test_a_local_archive_is_unpacked_without_the_network(
    fetching: Fetching, tmp_path: Path, suffix: str, form: str
) -> None:
    archive = tmp_path / f"my model.{suffix}"
    archive.write_bytes(FORMS[form](model_files("half_plus_two/")))
    found = fetching(ArchiveSource(archive=f"./my model.{suffix}"), offline=True)
    assert content(found.base_path) == model_files()
    assert found.commit == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert fetching.progress[-1][1:] == (archive.stat().st_size, archive.stat().st_size)
    assert archive.exists()


def test_a_local_archive_that_changed_is_unpacked_again(fetching: Fetching, tmp_path: Path) -> None:
    source = ArchiveSource(archive="model.tar")
    (tmp_path / "model.tar").write_bytes(tarred(model_files()))
    assert [fetching(source).fresh, fetching(source).fresh] == [True, False]
    (tmp_path / "model.tar").write_bytes(tarred({**model_files(), "00000123/assets/foo.txt": b"moved"}))
    assert fetching(source).fresh
    assert (fetching.base_path / "00000123/assets/foo.txt").read_bytes() == b"moved"


def test_a_local_archive_that_is_missing_or_another_one(fetching: Fetching, tmp_path: Path) -> None:
    with pytest.raises(FetchFailedError, match="cannot be read") as failure:
        fetching(ArchiveSource(archive="model.tar"))
    assert str(tmp_path / "model.tar") in failure.value.evidence
    (tmp_path / "model.tar").write_bytes(tarred(model_files()))
    with pytest.raises(FetchFailedError, match="not the one that the YAML names"):
        fetching(ArchiveSource(archive="model.tar", sha256="0" * 64))


def test_a_path_inside(fetching: Fetching, put: Put) -> None:
    archive = tarred({**model_files("release/models/half_plus_two/"), "release/README": b"x"})
    assert content(fetching(put(archive, "release/models/half_plus_two")).base_path) == model_files()


def test_a_missing_path_names_the_nearest(fetching: Fetching, put: Put) -> None:
    with pytest.raises(FetchFailedError, match="no directory 'models/half'") as failure:
        fetching(put(tarred(model_files("models/half_plus_two/")), "models/half"))
    assert "models/half_plus_two" in failure.value.fix


GRAPH = b"as the tests of sources do not parse it"
SAVED_MODEL = {"saved_model.pb": GRAPH, "variables/variables.index": b"i"}


def below(prefix: str) -> dict[str, bytes | None]:
    return {prefix + name: text for name, text in SAVED_MODEL.items()}


@pytest.mark.parametrize(
    ("prefix", "version"),
    [
        ("export/Servo/1/", "1"),
        ("repository-main/models/m/00000123/", "00000123"),
        ("v2/exported/", "1"),
        ("./m/3/", "3"),
    ],
)
def test_versions_that_lie_deeper_are_found(fetching: Fetching, put: Put, prefix: str, version: str) -> None:
    files = {"README.md": b"", "repository-main/setup.py": b""} | below(prefix)
    assert fetching(put(tarred(files))).files.keys() == {f"{version}/{name}" for name in SAVED_MODEL}


def test_several_models_in_an_archive_are_named_with_the_path_to_choose_one(fetching: Fetching, put: Put) -> None:
    archive = tarred(below("all/a/1/") | below("all/b/1/"))
    with pytest.raises(FetchFailedError, match="holds several models") as failure:
        fetching(put(archive))
    assert failure.value.evidence == "all/a, all/b"
    assert failure.value.fix.endswith("path: all/a")
    assert "1/saved_model.pb" in fetching(put(archive, "all/b")).files


def test_a_path_that_names_the_version_keeps_its_number(fetching: Fetching, put: Put) -> None:
    assert "123/saved_model.pb" in fetching(put(tarred(below("m/123/")), "m/123")).files


@pytest.mark.parametrize("form", [tarred, zipped])
def test_what_macos_adds_is_left_out(fetching: Fetching, put: Put, form: Callable[..., bytes]) -> None:
    added = {"__MACOSX/m/1/._saved_model.pb": b"x", "m/.DS_Store": b"x", "m/1/._saved_model.pb": b"x"}
    files = fetching(put(form(below("m/1/") | added))).files
    assert files.keys() == {f"1/{name}" for name in SAVED_MODEL}


def test_of_members_with_the_same_name_the_last_one_counts(fetching: Fetching, put: Put) -> None:
    """As tar unpacks what `tar -r` appended."""
    first = tarred({"1/a": b"old", "1/b": b"old"})
    last = tarred({"1/a": b"new"}, member("1/b", tarfile.SYMTYPE, "a"))
    base_path = fetching(put(first[: first.index(bytes(1024), 2048)] + last)).base_path
    assert [(base_path / "1" / name).read_bytes() for name in "ab"] == [b"new", b"new"]


def test_another_sha256_is_refused_and_both_are_named(fetching: Fetching, put: Put) -> None:
    source = put(tarred(model_files()))
    wrong = source.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(FetchFailedError, match="not the one that the YAML names") as failure:
        fetching(wrong)
    assert f"expected {wrong.sha256}, found {source.sha256}" in failure.value.evidence
    assert not fetching.base_path.exists()
    assert fetching.pauses == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_answer_that_will_not_change_is_not_asked_again(
    fetching: Fetching, put: Put, archive_server: ArchiveServer, status: int
) -> None:
    fault = archive_server.fail(status=status)
    with pytest.raises(FetchFailedError, match="does not give the file") as failure:
        fetching(put(tarred(model_files())))
    assert not isinstance(failure.value, SourceUnreachableError)
    assert str(status) in failure.value.evidence
    assert failure.value.fix
    assert fault.met == 1


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 500}, {"status": 503}, {"cut_after_bytes": 1000}])
def test_what_may_pass_is_tried_again(
    fetching: Fetching, put: Put, archive_server: ArchiveServer, fault: dict[str, int]
) -> None:
    archive_server.fail(**fault, times=ATTEMPTS - 1)
    assert content(fetching(put(tarred(model_files()))).base_path) == model_files()
    assert len(fetching.pauses) == ATTEMPTS - 1


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut_after_bytes": 1000}])
def test_what_does_not_pass_is_unreachable(
    fetching: Fetching, put: Put, archive_server: ArchiveServer, fault: dict[str, int]
) -> None:
    met = archive_server.fail(**fault)
    with pytest.raises(SourceUnreachableError):
        fetching(put(tarred(model_files())))
    assert met.met == ATTEMPTS
    assert not fetching.base_path.exists()


def test_retry_after_in_seconds_is_honoured(fetching: Fetching, put: Put, archive_server: ArchiveServer) -> None:
    archive_server.fail(status=429, headers={"Retry-After": "7"}, times=1)
    fetching(put(tarred(model_files())))
    assert fetching.pauses == [7]


def test_retry_after_as_a_date_is_honoured(fetching: Fetching, put: Put, archive_server: ArchiveServer) -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    archive_server.fail(status=503, headers={"Retry-After": date}, times=1)
    fetching(put(tarred(model_files())))
    assert 20 < fetching.pauses[0] <= 30


def test_a_retry_after_beyond_all_patience_ends_at_once(
    fetching: Fetching, put: Put, archive_server: ArchiveServer
) -> None:
    fault = archive_server.fail(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(SourceUnreachableError):
        fetching(put(tarred(model_files())))
    assert fault.met == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/x", "http://no-such-host.invalid/x"])
def test_nobody_there_is_unreachable(fetching: Fetching, address: str) -> None:
    with pytest.raises(SourceUnreachableError) as failure:
        fetching(ArchiveSource(archive=address, sha256="0" * 64))
    assert failure.value.evidence


def test_a_silent_server_is_given_up(fetching: Fetching, put: Put, archive_server: ArchiveServer) -> None:
    archive_server.fail(silent_after_bytes=1000)
    fetching.idle_timeout_s = 0.3
    with pytest.raises(SourceUnreachableError, match="cannot be reached"):
        fetching(put(tarred(model_files())))


def test_a_transfer_is_called_off_between_two_pieces(workspace: Workspace, put: Put, tmp_path: Path) -> None:
    cancelled = threading.Event()
    transfer = TransferContext(progress=lambda *seen: cancelled.set(), cancelled=cancelled)
    with pytest.raises(RunInterruptedError):
        fetch("m", [put(tarred({"1/x": os.urandom(1 << 20)}))], StateSession(workspace), tmp_path, transfer)
    assert list((workspace.path / "staging").iterdir()) == []


def test_a_transfer_is_called_off_although_the_server_is_silent(
    workspace: Workspace, put: Put, archive_server: ArchiveServer, tmp_path: Path
) -> None:
    archive_server.fail(silent_after_bytes=1000)
    cancelled = threading.Event()

    def call_off() -> None:
        archive_server.reached.wait()
        cancelled.set()

    threading.Thread(target=call_off, daemon=True).start()
    context = TransferContext(cancelled=cancelled, idle_timeout_s=200)
    with pytest.raises(RunInterruptedError):
        fetch("m", [put(tarred(model_files()))], StateSession(workspace), tmp_path, context)
    assert list((workspace.path / "staging").iterdir()) == []


def test_secrets_in_the_address_appear_nowhere(fetching: Fetching, put: Put, archive_server: ArchiveServer) -> None:
    source = put(tarred(model_files()))
    address = source.archive.replace("http://", "http://me:s3cr3t@") + "?X-Signature=s3cr3t"
    found = fetching(source.model_copy(update={"archive": address}))
    archive_server.fail(status=500)
    with pytest.raises(SourceUnreachableError) as failed:
        fetching(source.model_copy(update={"archive": address}), update=True)
    nobody = address.replace(f":{archive_server.port}", ":1")
    with pytest.raises(SourceUnreachableError) as unreachable:
        fetching(source.model_copy(update={"archive": nobody}), update=True)
    shown = [found, failed.value, unreachable.value, *fetching.notices]
    texts = [str(each) for each in shown] + [p.read_text() for p in fetching.workspace.path.glob("*.json")]
    assert not any("s3cr3t" in text for text in texts)


def test_an_archive_that_the_server_calls_an_encoding_is_taken_as_it_is(
    fetching: Fetching, put: Put, archive_server: ArchiveServer
) -> None:
    archive_server.extra_headers = [("Content-Encoding", "gzip")]
    assert content(fetching(put(gzip.compress(tarred(model_files())))).base_path) == model_files()


def test_a_proxy_from_the_environment_is_used(
    fetching: Fetching, put: Put, archive_server: ArchiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", archive_server.url)
    source = put(tarred(model_files()))
    archive_server.files["http://models.invalid/model.tar"] = archive_server.files["/model.tar"]
    found = fetching(source.model_copy(update={"archive": "http://models.invalid/model.tar"}))
    assert content(found.base_path) == model_files()


EVIL_TARS = {
    "absolute name": tarred({str(OUTSIDE): b"x"}),
    "climbing name": tarred({"1/../../evil": b"x"}),
    "symlink out": tarred({}, member("1/link", tarfile.SYMTYPE, "../../../evil")),
    "absolute symlink": tarred({}, member("1/link", tarfile.SYMTYPE, "/etc/passwd")),
    "symlink through a symlink": tarred(
        {}, member("1/up", tarfile.SYMTYPE, ".."), member("1/out", tarfile.SYMTYPE, "up/../../evil")
    ),
    "hard link out": tarred({}, member("1/link", tarfile.LNKTYPE, "/etc/passwd")),
    "climbing hard link": tarred({}, member("1/link", tarfile.LNKTYPE, "../../../../etc/passwd")),
    "device": tarred({}, member("1/null", tarfile.CHRTYPE)),
    "block device": tarred({}, member("1/sda", tarfile.BLKTYPE)),
    "fifo": tarred({}, member("1/fifo", tarfile.FIFOTYPE)),
    "file through a link": tarred({"1/dir/evil": b"x"}, member("1/dir", tarfile.SYMTYPE, "/tmp")),
    "link, then a file through it": tarred(
        {}, member("1/dir", tarfile.SYMTYPE, ".."), member("1/dir/x", tarfile.REGTYPE)
    ),
    "zip: climbing": zipped({"1/../../evil": b"x"}),
    "zip: absolute": zipped({str(OUTSIDE): b"x"}),
    "zip: symlink out": zipped({"1/link": b"../../../evil"}, {"1/link": stat.S_IFLNK | 0o777}),
    "zip: device": zipped({"1/null": b""}, {"1/null": stat.S_IFCHR | 0o666}),
}


@pytest.mark.parametrize("archive", EVIL_TARS.values(), ids=EVIL_TARS)
def test_an_archive_that_reaches_out_is_refused_whole(
    fetching: Fetching, put: Put, tmp_path: Path, archive: bytes
) -> None:
    before = {p for p in tmp_path.rglob("*") if p.name != "state.json"}
    with pytest.raises(FetchFailedError):
        fetching(put(archive))
    assert {p for p in tmp_path.rglob("*") if p.name != "state.json"} == before
    assert not OUTSIDE.exists()


def test_links_inside_the_model_are_kept(fetching: Fetching, put: Put) -> None:
    archive = tarred(
        {"m/1/a": b"x"}, member("m/1/soft", tarfile.SYMTYPE, "a"), member("m/1/hard", tarfile.LNKTYPE, "m/1/a")
    )
    base_path = fetching(put(archive)).base_path
    assert (base_path / "1" / "soft").is_symlink()
    assert [(base_path / "1" / name).read_bytes() for name in ("soft", "hard")] == [b"x", b"x"]


def test_a_link_to_elsewhere_in_the_archive_is_refused(fetching: Fetching, put: Put) -> None:
    archive = tarred({"shared/a": b"x"}, member("m/1/soft", tarfile.SYMTYPE, "../../shared/a"))
    with pytest.raises(FetchFailedError, match="link points outside"):
        fetching(put(archive, "m"))


@pytest.mark.parametrize("form", ["gz", "xz", "bz2", "zip"])
def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path, form: str) -> None:
    archive = tmp_path / "bomb"
    archive.write_bytes(FORMS[form]({"1/zeros": bytes(8 << 20)}))
    limits = WriteLimits(ratio=20, free_bytes=1 << 20)
    with pytest.raises(FetchFailedError, match="unreasonable size"):
        unpack(archive, ".", tmp_path / "out", "bomb", limits)
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 2 << 20


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_too_many_files_are_refused(tmp_path: Path, form: str) -> None:
    archive = tmp_path / "many"
    archive.write_bytes(FORMS[form]({f"1/{n}": b"" for n in range(50)}))
    with pytest.raises(FetchFailedError, match="too many files"):
        unpack(archive, ".", tmp_path / "out", "many", WriteLimits(files=20))


def test_a_header_of_many_megabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    header.size = 64 << 20
    archive = tmp_path / "header"
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size)))
    tracemalloc.start()
    try:
        with pytest.raises(FetchFailedError, match="cannot be unpacked"):
            unpack(archive, ".", tmp_path / "out", "header", WriteLimits())
        assert tracemalloc.get_traced_memory()[1] < header.size / 4
    finally:
        tracemalloc.stop()


BROKEN = {
    "no archive": b"<html>captive portal</html>",
    "empty": b"",
    "only blocks of zeros": tarred({}),
    "half a gzip": gzip.compress(tarred({"1/a": os.urandom(100_000)}))[:50_000],
    "half a bzip2": bz2.compress(tarred({"1/a": os.urandom(100_000)}))[:50_000],
    "half an xz": lzma.compress(tarred({"1/a": os.urandom(100_000)}))[:50_000],
    "half a tar": tarred({"1/a": os.urandom(100_000)})[:50_000],
    "half a zip": zipped({"1/a": os.urandom(100_000)})[:50_000],
    "bad bzip2": b"BZh9" + bytes(100),
    "bad gzip": b"\x1f\x8b" + bytes(100),
    "file and directory of one name": tarred({"1": b"x", "1/a": b"x"}),
}


@pytest.mark.parametrize("archive", BROKEN.values(), ids=BROKEN)
def test_what_is_no_archive_is_one_clear_error(fetching: Fetching, put: Put, archive: bytes) -> None:
    with pytest.raises(FetchFailedError) as failure:
        fetching(put(archive))
    assert not isinstance(failure.value, SourceUnreachableError)
    assert not fetching.base_path.exists()


IN_PLACE = {
    "a sign-in page": (b"<!doctype html><title>Sign in</title>", "model.tar", "a web page, such as a sign-in"),
    "a Keras file": (zipped({"metadata.json": b"{}", "config.json": b"{}"}), "model", "a Keras model file"),
    "an ONNX model": (b"\x08\x07\x12\x07pytorch", "m.onnx", "an ONNX model"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "model.tar", "a git-lfs pointer"),
}


@pytest.mark.parametrize("given", IN_PLACE)
def test_what_comes_in_place_of_an_archive_is_named(
    fetching: Fetching, archive_server: ArchiveServer, given: str
) -> None:
    content, name, words = IN_PLACE[given]
    address, _ = archive_server.put(name, content)
    with pytest.raises(FetchFailedError, match=f"not an archive but {words}") as failure:
        fetching(ArchiveSource(archive=address, sha256="0" * 64))
    assert failure.value.fix


def test_an_encrypted_zip(fetching: Fetching, put: Put) -> None:
    archive = bytearray(zipped({"1/a": b"secret"}))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(FetchFailedError, match="cannot be unpacked") as failure:
        fetching(put(bytes(archive)))
    assert "encrypted" in failure.value.evidence


def test_no_space(small_disk: Path, tmp_path: Path, put: Put) -> None:
    fetching = Fetching(Workspace.create(small_disk / "workspace", "test"), tmp_path)
    with pytest.raises(FetchFailedError, match="no space left"):
        fetching(put(tarred({"1/saved_model.pb": bytes(3 << 20)})))
    with pytest.raises(FetchFailedError, match="no space left"):
        fetching(put(gzip.compress(tarred({"1/saved_model.pb": bytes(3 << 20)}))))
    assert content(fetching(put(tarred(model_files()))).base_path) == model_files()
