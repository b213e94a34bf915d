"""Write the operations that the installed TensorFlow knows to tfs_workflow/checks/model/operations.txt.

python tools/list_operations.py
"""

from __future__ import annotations

import os
from pathlib import Path

from tfs_workflow.modelserver.tensorflow import capi
from tfs_workflow.protos.saved_model_pb2 import OpList, VersionDef

TARGET = Path(__file__).parents[1] / "tfs_workflow" / "checks" / "model" / "operations.txt"
DECLARATIONS = """
TF_Buffer* TF_GetAllOpList(void);
void TF_GraphVersions(TF_Graph*, TF_Buffer*, TF_Status*);
"""


def main() -> None:
    """Ask the library; operations that it makes for itself while it runs (_…) are in no model."""
    capi.load()
    capi.ffi.cdef(DECLARATIONS)
    ffi, lib = capi.ffi, capi.lib
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
