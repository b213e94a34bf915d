"""The same tasks as a console command, `tfs`, for any directory."""

from tfs_workflow.cli.signals import arm

arm()  # before anything else, so that Ctrl-C during the imports ends like one during a verb

from invoke.program import Program  # noqa: E402

from tfs_workflow import __version__  # noqa: E402
from tfs_workflow.cli.tasks import collection  # noqa: E402

program = Program(name="tfs", binary="tfs", binary_names=["tfs"], version=__version__, namespace=collection())

if __name__ == "__main__":
    program.run()
