"""The table of diagnoses: what a failed server shows, what that means in plain words, and what mends it."""

from tfs_workflow.serving.diagnoses.models import MODELS
from tfs_workflow.serving.diagnoses.row import Row
from tfs_workflow.serving.diagnoses.servers import OVERDUE, SERVERS, VANISHED

# In order: the first row that applies wins. What a server says of itself stands before what it says of a model.
FAILURES = (*SERVERS, *MODELS)

ROWS = (*FAILURES, VANISHED, *OVERDUE)

__all__ = ["FAILURES", "OVERDUE", "ROWS", "SERVERS", "VANISHED", "Row"]
