"""Which image serve runs: the recorded one. A moved tag is followed aloud, or not at all where setup was locked."""

from __future__ import annotations

from dataclasses import replace

from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.runtimes.base import Runtime
from tfs_workflow.sources.transfer import Transfer
from tfs_workflow.state import lockfile
from tfs_workflow.state.setup_record import Prepared, keep
from tfs_workflow.state.workspace import Workspace


def with_image_of_now(
    loaded: LoadedConfig, workspace: Workspace, made: Prepared, runtime: Runtime, transfer: Transfer
) -> Prepared:
    """What setup made ready, with what the image's tag names by now; that is written to workspace and lock first.

    Unchanged where setup was locked, where the tag names nothing (any more), and for runtimes without an image.
    """
    reference = loaded.config.server.image
    now = runtime.image_now(reference)
    if made.locked or not now.digest or now.is_pinned_by(made.image_digest):
        return made
    lock_file = lockfile.lock_path(loaded.path)
    if made.image_digest:
        transfer.announce(
            f"{reference}: names {now.digest[:19]} by now, setup recorded {made.image_digest[:19]}: it is followed and "
            f"recorded in {lock_file.name}; setup --locked would hold the server to the recorded one"
        )
    if pinned := lockfile.read(lock_file):
        lockfile.write(lock_file, pinned.model_copy(update={"image": reference, "image_digest": now.digest}))
    followed = replace(made, image_digest=now.digest)
    keep(workspace, followed)
    return followed
