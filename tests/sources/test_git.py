"""Git sources against git's own server, with and without faults in front of it."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.conftest import Fetching
from tests.support.archive_server import ArchiveServer
from tests.support.faulty import serving
from tests.support.git_server import BRANCH, MODEL_PATH, TAG, BareRepository, GitServer, model_files
from tfs_workflow.config.types import GitSource
from tfs_workflow.errors import (
    ConfigError,
    FetchFailedError,
    RunInterruptedError,
    SourceUnreachableError,
    ToolMissingError,
)
from tfs_workflow.sources.fetch import fetch
from tfs_workflow.sources.transfer import ATTEMPTS, TransferContext
from tfs_workflow.state.workspace import Workspace

Build = Callable[..., GitSource]


def repository(git_server: GitServer) -> BareRepository:
    return BareRepository(git_server.root / "serving.git")


def content(base_path: Path) -> dict[str, bytes | None]:
    return {p.relative_to(base_path).as_posix(): p.read_bytes() for p in base_path.rglob("*") if p.is_file()}


def sent_bytes(git_server: GitServer) -> int:
    """Bytes of packs that a plain clone would bring: the whole repository."""
    return sum(p.stat().st_size for p in (git_server.root / "serving.git/objects/pack").glob("*.pack"))


@pytest.mark.parametrize("ref", [TAG, BRANCH, "HEAD", f"refs/tags/{TAG}", "master"])
def test_a_tag_branch_or_head_brings_exactly_the_base_path(
    fetching: Fetching, source: Build, git_server: GitServer, ref: str
) -> None:
    found = fetching(source(ref=ref))
    assert content(found.base_path) == model_files()
    assert found.commit == repository(git_server).git("rev-parse", f"{ref}^{{commit}}")
    assert found.base_path == fetching.base_path
    assert {p.name for p in found.base_path.iterdir()} == {"00000123"}


@pytest.mark.parametrize("protocol_v2", [True, False])
@pytest.mark.parametrize("any_commit", ["true", "false"])
def test_a_commit_comes_from_servers_that_give_it_and_from_those_that_refuse(
    fetching: Fetching, source: Build, git_server: GitServer, protocol_v2: bool, any_commit: str
) -> None:
    git_server.protocol_v2 = protocol_v2
    repository(git_server).configure("uploadpack.allowAnySHA1InWant", any_commit)
    commit = repository(git_server).git("rev-parse", "master~4")
    found = fetching(source(ref=commit))
    assert found.commit == commit
    assert content(found.base_path) == model_files()


@pytest.mark.parametrize("protocol_v2", [True, False])
def test_a_server_that_allows_no_filters_still_works(
    fetching: Fetching, source: Build, git_server: GitServer, protocol_v2: bool
) -> None:
    git_server.protocol_v2 = protocol_v2
    repository(git_server).configure("uploadpack.allowFilter", "false")
    assert content(fetching(source()).base_path) == model_files()


def test_an_annotated_tag_is_its_commit(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    repository(git_server).git("-c", "user.name=t", "-c", "user.email=t@example.org", "tag", "-am1", "v1", "master")
    assert fetching(source(ref="v1")).commit == repository(git_server).git("rev-parse", "master")


def test_only_the_blobs_below_the_base_path_travel(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    fetching(source())
    received = [done for _, done, _ in fetching.progress]
    assert max(received) < sent_bytes(git_server) / 10


def test_a_path_of_the_whole_repository(fetching: Fetching, git_server: GitServer, source: Build) -> None:
    base = BareRepository(git_server.root / "small.git")
    base.commit(model_files())
    assert content(fetching(source(f"{git_server.url}/small.git", "master", ".")).base_path) == model_files()


@pytest.mark.parametrize("form", ["file", "absolute", "relative"])
def test_a_repository_on_this_machine(fetching: Fetching, git_server: GitServer, form: str) -> None:
    path = git_server.root / "serving.git"
    forms = {"file": f"file://{path}", "absolute": str(path), "relative": "repositories/serving.git"}
    found = fetching(GitSource(git=forms[form], ref=TAG, path=MODEL_PATH), offline=True)
    assert content(found.base_path) == model_files()


def test_a_web_server_that_knows_nothing_of_git(fetching: Fetching, git_server: GitServer) -> None:
    """Git's dumb protocol: no shallow fetch, no filter, all of the history."""
    base = repository(git_server)
    base.git("update-server-info")
    with serving(ArchiveServer()) as web:
        for path in base.path.rglob("*"):
            if path.is_file():
                web.put(f"serving.git/{path.relative_to(base.path).as_posix()}", path.read_bytes())
        found = fetching(GitSource(git=f"{web.url}/serving.git", ref=TAG, path=MODEL_PATH))
    assert content(found.base_path) == model_files()


@pytest.mark.parametrize("form", ["ssh://git@models.example/{}", "git@models.example:{}"])
def test_ssh_runs_the_users_own_ssh(
    fetching: Fetching, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    address = form.format(str(git_server.root / "serving.git"))
    found = fetching(GitSource(git=address, ref=TAG, path=MODEL_PATH))
    assert content(found.base_path) == model_files()
    assert found.description.split()[1] == address


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("git@models.example: Permission denied (publickey).", FetchFailedError),
        ("Host key verification failed.", FetchFailedError),
        ("ssh: connect to host models.example port 22: Connection refused", SourceUnreachableError),
        ("ssh: Could not resolve hostname models.example: Name or service not known", SourceUnreachableError),
    ],
)
def test_what_ssh_says_is_told_apart(
    fetching: Fetching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[FetchFailedError]
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 255\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    with pytest.raises(FetchFailedError) as failure:
        fetching(GitSource(git="git@models.example:serving.git"))
    assert isinstance(failure.value, SourceUnreachableError) == (kind is SourceUnreachableError)
    assert said in failure.value.evidence


def test_files_are_readable_for_a_container_whatever_the_umask(fetching: Fetching, source: Build) -> None:
    before = os.umask(0o077)
    try:
        base_path = fetching(source()).base_path
    finally:
        os.umask(before)
    for path in [base_path, *base_path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


def test_a_missing_ref_names_those_that_are_there(fetching: Fetching, source: Build) -> None:
    with pytest.raises(FetchFailedError, match=r"no branch, tag or commit '2\.20\.1'") as failure:
        fetching(source(ref="2.20.1"))
    assert TAG in failure.value.fix
    assert not isinstance(failure.value, SourceUnreachableError)


@pytest.mark.parametrize(("ref", "fix"), [("0" * 40, "there are"), ("bc7e9d2", "full 40 digits")])
def test_a_commit_that_is_not_there(fetching: Fetching, source: Build, ref: str, fix: str) -> None:
    with pytest.raises(FetchFailedError, match=ref) as failure:
        fetching(source(ref=ref))
    assert fix in failure.value.fix


def test_a_missing_path_names_the_nearest(fetching: Fetching, source: Build) -> None:
    with pytest.raises(FetchFailedError, match="has no directory") as failure:
        fetching(source(path=MODEL_PATH.replace("_cpu", "_gpu")))
    assert MODEL_PATH in failure.value.fix


def test_a_path_that_is_a_file(fetching: Fetching, source: Build) -> None:
    with pytest.raises(FetchFailedError, match="has no directory"):
        fetching(source(path="README.md"))


def test_no_such_repository(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    with pytest.raises(FetchFailedError, match="no such git repository") as failure:
        fetching(source(f"{git_server.url}/other.git"))
    assert not isinstance(failure.value, SourceUnreachableError)


def test_credentials_are_missing(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    git_server.credentials = "Basic " + base64.b64encode(b"me:secret").decode()
    with pytest.raises(FetchFailedError, match="wants credentials") as failure:
        fetching(source())
    assert not isinstance(failure.value, SourceUnreachableError)
    assert "could not read Username" in failure.value.evidence


def test_credentials_in_the_address_work_and_appear_nowhere(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    git_server.credentials = "Basic " + base64.b64encode(b"me:s3cr3t").decode()
    address = f"http://me:s3cr3t@127.0.0.1:{git_server.port}/serving.git"
    found = fetching(source(address))
    with pytest.raises(FetchFailedError) as missing:
        fetching(source(address, ref="nowhere"), update=True)
    with pytest.raises(FetchFailedError) as refused:
        fetching(source(address.replace("s3cr3t", "wr0ng")), update=True)
    shown = [found, missing.value, refused.value, *fetching.notices, fetching.workspace.path]
    texts = [str(each) for each in shown] + [p.read_text() for p in fetching.workspace.path.glob("*.json")]
    assert not any("s3cr3t" in text or "wr0ng" in text for text in texts)


def test_gits_own_credential_helper_is_asked(
    fetching: Fetching, source: Build, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_server.credentials = "Basic " + base64.b64encode(b"me:s3cr3t").decode()
    store = tmp_path / "credentials"
    store.write_text(f"http://me:s3cr3t@127.0.0.1:{git_server.port}\n")
    config = tmp_path / "gitconfig"
    config.write_text(f'[credential]\n\thelper = "store --file={store}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert fetching(source()).commit


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_recovers_is_asked_again(
    fetching: Fetching, source: Build, git_server: GitServer, status: int
) -> None:
    git_server.fail(status=status, times=ATTEMPTS - 1)
    assert content(fetching(source()).base_path) == model_files()
    assert len(fetching.pauses) == ATTEMPTS - 1
    assert "trying again" in fetching.notices[0]


def test_a_connection_dropped_in_the_middle_is_tried_again(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    fault = git_server.fail(path="POST .*upload-pack", cut_after_bytes=300, times=2)
    assert content(fetching(source()).base_path) == model_files()
    assert fault.met == 2


@pytest.mark.parametrize("fault", [{"status": 500}, {"path": "upload-pack$", "cut_after_bytes": 300}])
def test_a_server_that_does_not_recover_is_unreachable_and_leaves_nothing(
    fetching: Fetching, source: Build, git_server: GitServer, fault: dict[str, object]
) -> None:
    git_server.fail(**fault)
    with pytest.raises(SourceUnreachableError, match="cannot be reached"):
        fetching(source())
    assert len(fetching.pauses) == ATTEMPTS - 1
    assert not fetching.base_path.exists()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x.git", "http://no-such-host.invalid/x.git", "git://127.0.0.1:1/x"]
)
def test_nobody_there_is_unreachable(fetching: Fetching, source: Build, address: str) -> None:
    with pytest.raises(SourceUnreachableError):
        fetching(source(address))


def test_a_server_that_never_answers_is_given_up_without_a_second_wait(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    git_server.fail(silent_after_bytes=0)
    fetching.idle_timeout_s = 0.5
    with pytest.raises(SourceUnreachableError, match="does not answer"):
        fetching(source())
    assert fetching.pauses == []


def test_a_transfer_that_is_called_off_ends_although_the_server_is_silent(
    fetching: Fetching, source: Build, git_server: GitServer
) -> None:
    git_server.fail(path="POST", silent_after_bytes=300)
    transfer = TransferContext()

    def call_off() -> None:
        git_server.reached.wait()
        transfer.cancelled.set()

    threading.Thread(target=call_off, daemon=True).start()
    with pytest.raises(RunInterruptedError):
        fetch("m", [source()], fetching.session, fetching.yaml_dir, transfer)
    assert list((fetching.workspace.path / "staging").iterdir()) == []


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "ftps://127.0.0.1/x", "ext://sh -c id", "fd::0", "sftp::x"])
def test_other_transports_are_refused(fetching: Fetching, address: str) -> None:
    """Refused, which is another thing than tried in vain."""
    with pytest.raises(ConfigError):
        fetching(GitSource.model_construct(git=address, ref="HEAD", path="."))


@pytest.mark.parametrize("field", ["git", "ref", "path"])
@pytest.mark.parametrize("text", ["--upload-pack=touch x", "a\0b", "a\nb"])
def test_options_and_control_characters_never_reach_git(
    fetching: Fetching, source: Build, git_server: GitServer, field: str, text: str
) -> None:
    with pytest.raises(ConfigError):
        fetching(source().model_copy(update={field: text}))
    assert git_server.requests == []


def test_ext_runs_nothing(fetching: Fetching, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    with pytest.raises((ConfigError, FetchFailedError)):
        fetching(GitSource.model_construct(git=f"ext::touch {trap}", ref="HEAD", path="."))
    assert not trap.exists()


@pytest.mark.parametrize("path", ["../..", "x/../../..", "../serving.git"])
def test_a_path_out_of_the_repository_leads_nowhere(fetching: Fetching, source: Build, path: str) -> None:
    with pytest.raises((ConfigError, FetchFailedError)):
        fetching(source().model_copy(update={"path": path}))


@pytest.mark.parametrize("refspec", ["+master:refs/heads/x", "refs/heads/*", "^master", "a b", "master~1"])
def test_a_refspec_is_no_ref(fetching: Fetching, source: Build, refspec: str) -> None:
    with pytest.raises(ConfigError):
        fetching(source().model_copy(update={"ref": refspec}))


def test_no_hook_filter_or_line_end_conversion_touches_the_files(
    fetching: Fetching, source: Build, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "reference-transaction", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trap}\n")
        (hooks / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[init]\n\ttemplateDir = {hooks.parent}\n[core]\n\tautocrlf = true\n\thooksPath = {hooks}\n"
        f'[filter "lfs"]\n\tsmudge = touch {trap}\n\trequired = true\n'
    )
    files: dict[str, bytes | None] = {"m/.gitattributes": b"* text=auto filter=lfs ident\n", "m/1/a.txt": b"$Id$\nb\n"}
    older = repository(git_server).commit(files)
    repository(git_server).commit({"m/2/a.txt": b"c\n"})
    git_server.protocol_v2 = False  # then a single commit is refused, and fetched with all branches and tags
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    for ref in ("master", older):
        found = fetching(source(ref=ref, path="m"))
        assert (found.base_path / "1" / "a.txt").read_bytes() == b"$Id$\nb\n"
        assert not trap.exists()


def test_an_lfs_pointer_is_not_taken_for_a_model(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    repository(git_server).commit({"lfs/1/saved_model.pb": pointer})
    with pytest.raises(FetchFailedError, match="LFS pointer") as failure:
        fetching(source(ref="master", path="lfs"))
    assert "1/saved_model.pb" in failure.value.where


def test_a_submodule_below_the_base_path_is_refused(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    repository(git_server).commit({"sub/1": b"1" * 40}, modes={"sub/1": "160000"})
    with pytest.raises(FetchFailedError, match="submodule"):
        fetching(source(ref="master", path="sub"))


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../../../etc/passwd", b"../../README.md", b"missing", b"self"])
def test_a_link_out_of_the_model_is_refused(
    fetching: Fetching, source: Build, git_server: GitServer, target: bytes
) -> None:
    repository(git_server).commit({"l/1/self": target}, modes={"l/1/self": "120000"})
    with pytest.raises(FetchFailedError, match="link points outside"):
        fetching(source(ref="master", path="l"))
    assert not fetching.base_path.exists()


def test_a_link_inside_the_model_is_kept(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    repository(git_server).commit({"l/1/a": b"x", "l/1/b": b"a"}, modes={"l/1/b": "120000"})
    base_path = fetching(source(ref="master", path="l")).base_path
    assert (base_path / "1" / "b").is_symlink()
    assert (base_path / "1" / "b").read_bytes() == b"x"


def test_no_git(fetching: Fetching, source: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = source()
    for command in filter(None, map(shutil.which, ("setpriv", "true"))):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / Path(command).name).symlink_to(command)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ToolMissingError, match="git is not installed"):
        fetching(address)


def test_many_files_in_one_request(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    files: dict[str, bytes | None] = {f"many/1/assets/{n}": str(n).encode() for n in range(1500)}
    repository(git_server).commit(files)
    found = fetching(source(ref="master", path="many"))
    assert len(found.files) == 1500
    assert len([r for r in git_server.requests if r.startswith("POST")]) <= 6


def test_a_file_name_that_is_no_text(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    repository(git_server).commit({"n/1/grüße 1\t": b"x"})
    assert list(fetching(source(ref="master", path="n")).files) == ["1/grüße 1\t"]


def test_a_tree_entry_that_climbs_out_is_refused(fetching: Fetching, source: Build, git_server: GitServer) -> None:
    """Git itself would not make such a tree; a server can."""
    base = repository(git_server)
    blob = base.git("hash-object", "-w", "--stdin", stdin=b"evil")

    def tree(name: bytes, mode: bytes, object_id: str) -> str:
        entry = mode + b" " + name + b"\0" + bytes.fromhex(object_id)
        return base.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=entry)

    inner = tree(b"..", b"40000", tree(b"..", b"40000", tree(b"evil", b"100644", blob)))
    top = tree(b"climb", b"40000", inner)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    base.git("update-ref", "refs/heads/evil", base.git(*author, "commit-tree", "-m", "x", top))
    with pytest.raises(FetchFailedError):
        fetching(source(ref="evil", path="climb"))
    assert not (fetching.workspace.path / "evil").exists()
    assert not (fetching.workspace.path / "staging" / "evil").exists()


def test_no_space(small_disk: Path, tmp_path: Path, git_server: GitServer, source: Build) -> None:
    repository(git_server).commit({"big/1/saved_model.pb": os.urandom(3 << 20)})
    fetching = Fetching(Workspace.create(small_disk / "workspace", "test"), tmp_path)
    with pytest.raises(FetchFailedError, match="no space left") as failure:
        fetching(source(ref="master", path="big"))
    assert "MiB free" in failure.value.evidence
    assert content(fetching(source()).base_path) == model_files()


def test_nothing_of_git_is_served(fetching: Fetching, source: Build) -> None:
    fetching(source())
    everything = subprocess.run(["find", str(fetching.workspace.path)], capture_output=True, text=True, check=True)
    assert ".git" not in everything.stdout
