"""Unpacks a model from a tar or zip archive, treating the archive as hostile.

Python's own `extractall` trusts an archive too far for files from the network: it has no limits on size and count, and
older releases of Python lack its filters. So members are read one by one and written by SafeWriter. Devices and other
special files are refused. The archive's type is found by its first bytes, since an address need not end with a suffix.
"""

from __future__ import annotations

import bz2
import difflib
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from tfs_workflow.errors import FetchFailedError
from tfs_workflow.formats.savedmodel_errors import base_paths_below
from tfs_workflow.sources.safe_directory import SafeWriter, WriteLimits, check_links

# tarfile allocates a header's announced size before it reads it; long names and pax headers are far below this.
_LONGEST_READ_BYTES = 1 << 20
_LONGEST_LINK_BYTES = 4096
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    # zipfile's for an encrypted member.
    RuntimeError,
    ValueError,
)
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))


def unpack(archive: Path, path: str, target: Path, where: str, limits: WriteLimits) -> None:
    """Write what is below `path` in the archive to `target`, which must not exist yet.

    With "." the base path is where the versions are, wherever in the archive; FetchFailedError where it holds several
    models. Files that macOS adds to its archives are left out.
    """
    wanted = PurePosixPath(path)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise FetchFailedError("not a path inside the archive", where=where, evidence=repr(path))
    writer = SafeWriter(target.with_name(f"{target.name}-unpacked"), limits.of_archive(archive.stat().st_size))
    with _readable(where):
        if zipfile.is_zipfile(archive):
            _unzip(archive, writer)
        else:
            _untar(archive, writer)
    writer.finish()
    if not any(writer.root.iterdir()):
        raise FetchFailedError("the archive is empty", where=where)
    _base_path(writer.root, wanted, where).rename(target)
    shutil.rmtree(writer.root, ignore_errors=True)
    check_links(target)  # once more: what they led to may have been elsewhere in the archive


def _untar(archive: Path, writer: SafeWriter) -> None:
    with _decompressed(archive) as stream, tarfile.open(fileobj=cast(IO[bytes], _Headers(stream)), mode="r:") as tar:
        for member in tar:
            if _is_of_macos(member.name):
                continue
            if member.isdir():
                writer.directory(member.name)
            elif member.isreg():
                content = cast(IO[bytes], tar.extractfile(member))
                writer.file(member.name, content, member.size)
            elif member.issym():
                writer.link(member.name, member.linkname)
            elif member.islnk():
                writer.copy(member.name, member.linkname)
            else:
                raise FetchFailedError("the archive holds a device or another special file", where=member.name)


def _unzip(archive: Path, writer: SafeWriter) -> None:
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            if _is_of_macos(member.filename):
                continue
            mode = member.external_attr >> 16
            if member.is_dir():
                writer.directory(member.filename)
                continue
            with bundle.open(member) as content:
                if stat.S_ISLNK(mode):
                    writer.link(member.filename, content.read(_LONGEST_LINK_BYTES).decode())
                elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                    writer.file(member.filename, content, member.file_size)
                else:
                    raise FetchFailedError("the archive holds a device or another special file", where=member.filename)


def _is_of_macos(name: str) -> bool:
    """Whether a member is one of those that macOS adds: its Finder's settings and the attributes of other files."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part == ".DS_Store" or part.startswith("._") for part in parts[-1:])


class _Headers:
    """A stream that rejects large reads: tarfile reads each header at once, and only a hostile one is that long."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, which must be given."""
        if not 0 <= size <= _LONGEST_READ_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _decompressed(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        magic = file.read(6)
    for start, opened in _COMPRESSIONS:
        if magic.startswith(start):
            return cast(IO[bytes], opened(archive, "rb"))
    return archive.open("rb")


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn every error of a file that is not an archive into FetchFailedError."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise _unreadable(where, error) from error  # bz2 has no error class of its own
    except _UNREADABLE as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> FetchFailedError:
    fix = "make it a .tar, .tar.gz, .tar.xz, .tar.bz2 or .zip file without a password"
    return FetchFailedError(
        "the archive cannot be unpacked", where=where, evidence=str(error) or type(error).__name__, fix=fix
    )


def _base_path(root: Path, wanted: PurePosixPath, where: str) -> Path:
    base_path = root / wanted
    if base_path.is_dir():
        # Resolved, since the path may lead through a link that the archive holds.
        return (base_path if wanted.parts else _found_below(root, where)).resolve()
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())
    near = difflib.get_close_matches(str(wanted), there, n=5, cutoff=0.5) or there[:5]
    # The nearest names first, for a misspelt path.
    fix = f"there are: {', '.join(near) or 'none'}"
    raise FetchFailedError(f"the archive has no directory {str(wanted)!r}", where=where, fix=fix)


def _found_below(root: Path, where: str) -> Path:
    """The base path in an archive for which the YAML names none."""
    found = base_paths_below(root)
    # A model may hold another one, such as an old version of itself: the outer one is meant.
    outer = [path for path in found if not any(path != other and path.is_relative_to(other) for other in found)]
    if len(outer) > 1:
        names = [path.relative_to(root).as_posix() for path in outer]
        fix = f"choose one with the source's key path, such as path: {names[0]}"
        raise FetchFailedError("the archive holds several models", where=where, evidence=", ".join(names[:5]), fix=fix)
    return outer[0] if outer else _below_single_directory(root)


def _below_single_directory(root: Path) -> Path:
    """The one directory at the top, as most archives have it, if it is not a version itself but holds some."""
    entries = list(root.iterdir())
    if len(entries) != 1 or entries[0].name.isdigit() or not entries[0].is_dir():
        return root
    return entries[0] if any(entry.name.isdigit() for entry in entries[0].iterdir()) else root
