"""The same tasks as a console command, `tfs`, for any directory."""

from tfs_workflow.cli.signals import arm

arm()  # before anything else, so that Ctrl-C during the imports ends like one during a verb

from tfs_workflow import __version__  # noqa: E402
from tfs_workflow.cli.command_line.tfs_program import TfsProgram  # noqa: E402
from tfs_workflow.cli.tasks import collection  # noqa: E402

program = TfsProgram(collection(), __version__)

if __name__ == "__main__":
    program.run()
