"""Which image serve runs: the recorded one, or the one that its tag names now unless setup was `--locked`.

Two requirements conflict: a tag such as `2.20.0-patch` should bring its fixes, and a server should not change by
itself. The answer is to follow the tag at `serve`, with a notice, and to hold to the digest after `setup --locked`. The
digest goes into the lock file as well, so that the change shows up in version control
(docs/decisions/0011-image-by-digest.md).
"""

from __future__ import annotations

from dataclasses import replace

from tfs_workflow.runtimes.base import Runtime
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.state import lockfile
from tfs_workflow.state.setup_record import SetupRecord
from tfs_workflow.workflow.project import Project


def with_moved_tag(record: SetupRecord, reference: str, runtime: Runtime) -> SetupRecord:
    """The record with the digest that the image's tag names now; writes nothing.

    Unchanged after `setup --locked`, where the tag names no image, and for runtimes without an image.
    """
    now = runtime.resolve_image(reference)
    if record.locked or not now.digest or now.is_pinned_by(record.image_digest):
        return record
    return replace(record, image_digest=now.digest)


def follow_moved_tag(project: Project, context: TransferContext) -> None:
    """The same for the project, with the new digest put into lock file and state, and a notice to the user."""
    record = project.record
    followed = with_moved_tag(record, project.image, project.runtime)
    if followed == record:
        return
    lock_file = lockfile.lock_path(project.yaml_path)
    if record.image_digest:
        now, before = followed.image_digest[:19], record.image_digest[:19]
        context.notify(
            f"{project.image}: names {now} now, setup recorded {before}: serve follows it and records it in "
            f"{lock_file.name}; setup --locked would hold the server to the recorded one"
        )
    # Without a lock file there is nothing to keep in step; setup will write one.
    if pinned := lockfile.read(lock_file):
        moved = {"image": project.image, "image_digest": followed.image_digest}
        lockfile.write(lock_file, pinned.model_copy(update=moved))
    project.record = followed
    project.session.change(setup=followed)
