"""The console command `tfs`: the same tasks as `invoke`, for any directory."""

from tfs_workflow.cli.python_version import require_supported_python

require_supported_python()  # before any module that an old Python cannot read

from tfs_workflow.cli.signals import arm  # noqa: E402

arm()  # before the other imports, so that Ctrl-C during the imports ends like one during a verb

from tfs_workflow.cli.ahead import start_engine_ahead  # noqa: E402

start_engine_ahead()  # beside the other imports

from tfs_workflow import __version__  # noqa: E402
from tfs_workflow.cli.command_line.tfs_program import TfsProgram  # noqa: E402
from tfs_workflow.cli.tasks import collection  # noqa: E402

program = TfsProgram(collection(), __version__)

if __name__ == "__main__":
    program.run()
