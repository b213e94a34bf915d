"""The table of diagnoses: what a failed server shows, what that means in plain words, and what mends it."""

from tfs_workflow.health.diagnoses.model_rules import MODELS
from tfs_workflow.health.diagnoses.rule import Row
from tfs_workflow.health.diagnoses.server_rules import OVERDUE, SERVERS, VANISHED

# In order: the first row that applies wins. What a server says of itself stands before what it says of a model.
FAILURES = (*SERVERS, *MODELS)

ROWS = (*FAILURES, VANISHED, *OVERDUE)

__all__ = ["FAILURES", "OVERDUE", "ROWS", "SERVERS", "VANISHED", "Row"]
