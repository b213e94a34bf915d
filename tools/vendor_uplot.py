"""Fetch uPlot from npm into the package, checked by its hash: `python -m tools.vendor_uplot`.

The page that `bench --plot` writes must work without a network, so what draws it is in the package. npm checks the
archive by the integrity below, which changes with the version.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.6.32"
SHA512 = "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
FILES = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")
TARGET = Path(__file__).parents[1] / "tfs_workflow" / "quality" / "bench" / "plot" / "page" / "uplot"


def main() -> int:
    """Write the files."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["npm", "pack", "--silent", f"uplot@{VERSION}"], cwd=scratch, check=True)
        archive = Path(scratch, f"uplot-{VERSION}.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            sys.exit(f"uplot {VERSION}: expected sha512-{SHA512}, got sha512-{found}")
        with tarfile.open(archive) as packed:
            for name in FILES:
                packed.extract(f"package/{name}", scratch, filter="data")
                shutil.copyfile(Path(scratch, "package", name), TARGET / _name(name))
    sums = (f"{hashlib.sha256((TARGET / name).read_bytes()).hexdigest()}  {name}" for name in map(_name, FILES))
    head = f"# uplot {VERSION} from npm, sha512-{SHA512}; written by tools/vendor_uplot.py"
    (TARGET / "SHA256SUMS").write_text("\n".join([head, *sums]) + "\n")
    return 0


def _name(path: str) -> str:
    return Path(path).name


if __name__ == "__main__":
    sys.exit(main())
