"""The table of diagnoses: the evidence of a failure, its cause in plain words, and its fix."""

from tfs_workflow.health.diagnoses.model_rules import MODELS
from tfs_workflow.health.diagnoses.rule import Row
from tfs_workflow.health.diagnoses.server_rules import OVERDUE, SERVERS, VANISHED

# The first row that matches wins; rows about the server come before rows about a model.
FAILURES = (*SERVERS, *MODELS)

ROWS = (*FAILURES, VANISHED, *OVERDUE)

__all__ = ["FAILURES", "OVERDUE", "ROWS", "SERVERS", "VANISHED", "Row"]
