"""Imports what the verbs need, once, in the process that they are forked off."""

from __future__ import annotations

import importlib
import pkgutil
import signal

import tfs_workflow.main
import tfs_workflow.runtimes.docker
import tfs_workflow.runtimes.process
import tfs_workflow.serving.client
import tfs_workflow.serving.readiness
import tfs_workflow.sources.archive
import tfs_workflow.verbs

for module in pkgutil.iter_modules(tfs_workflow.verbs.__path__):
    importlib.import_module(f"tfs_workflow.verbs.{module.name}")
# Importing the command took the signals for itself; whoever forks off this process expects Python's own.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
