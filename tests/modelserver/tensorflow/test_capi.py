"""The declarations of TensorFlow's C API are compiled beforehand."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

from tfs_workflow.modelserver.tensorflow import capi_ffi

TOOL = Path(__file__).parents[3] / "tools" / "compile_capi.py"


def test_the_compiled_declarations_are_up_to_date(tmp_path: Path) -> None:
    runpy.run_path(str(TOOL))["compile_capi"](tmp_path)
    assert (tmp_path / "capi_ffi.py").read_text() == Path(capi_ffi.__file__).read_text()


def test_the_server_starts_without_a_parser_of_c() -> None:
    """It would take longer than most imports, and the image does without it."""
    code = "import sys; sys.modules['cffi'] = sys.modules['pycparser'] = None; import tfs_workflow.modelserver.server"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
