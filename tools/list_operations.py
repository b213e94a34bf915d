"""Write the operations that the installed TensorFlow knows to tfs_workflow/checks/model/operations.txt.

python tools/list_operations.py
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import cffi

from tfs_workflow.protos.saved_model_pb2 import OpList, VersionDef

PACKAGE = Path(__file__).parents[1] / "tfs_workflow"
TARGET = PACKAGE / "checks" / "model" / "operations.txt"
HEADER = PACKAGE / "modelserver" / "tensorflow" / "capi.h"
DECLARATIONS = """
TF_Buffer* TF_GetAllOpList(void);
void TF_GraphVersions(TF_Graph*, TF_Buffer*, TF_Status*);
"""


def main() -> None:
    """Read the library's list; operations that it makes for itself while it runs (_…) are in no model."""
    ffi: Any = cffi.FFI()
    ffi.cdef(HEADER.read_text(encoding="utf-8") + DECLARATIONS)
    tensorflow = importlib.util.find_spec("tensorflow")
    lib = ffi.dlopen(str(Path(str(tensorflow and tensorflow.origin)).with_name("libtensorflow_cc.so.2")))
    listed = lib.TF_GetAllOpList()
    operations = OpList.FromString(bytes(ffi.buffer(listed.data, listed.length))).op
    known = sorted(operation.name for operation in operations if not operation.name.startswith("_"))
    versions = lib.TF_NewBuffer()
    lib.TF_GraphVersions(lib.TF_NewGraph(), versions, lib.TF_NewStatus())
    graph = VersionDef.FromString(bytes(ffi.buffer(versions.data, versions.length)))
    release = ffi.string(lib.TF_Version()).decode()
    TARGET.write_text(f"{release} {graph.producer}\n" + "\n".join(known) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
    os._exit(0)  # the library crashes when the interpreter takes it down
