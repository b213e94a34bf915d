"""Imports what the verbs need, once, in the process that they are forked off."""

from __future__ import annotations

import importlib
import pkgutil
import signal

import requests  # noqa: F401  # its first use is in a verb that may fetch an archive

import tfs_workflow.cli
import tfs_workflow.cli.program
import tfs_workflow.client.rest_json
import tfs_workflow.health.readiness
import tfs_workflow.runtimes.docker
import tfs_workflow.runtimes.process.process_runtime
import tfs_workflow.sources.remote.archive

for module in pkgutil.walk_packages(tfs_workflow.cli.__path__, "tfs_workflow.cli."):
    importlib.import_module(module.name)
# Importing the command took the signals for itself; whoever forks off this process expects Python's own.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
