"""The same tasks as a console command, `tfs`, for any directory."""

from invoke.program import Program

from tfs_workflow import __version__
from tfs_workflow.tasks import collection

program = Program(name="tfs", binary="tfs", binary_names=["tfs"], version=__version__, namespace=collection())

if __name__ == "__main__":
    program.run()
