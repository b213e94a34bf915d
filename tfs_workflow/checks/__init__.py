"""Pre-flight: what would keep a server from serving, found before anything is started; one file a topic."""

from tfs_workflow.checks.model.preflight import check_models, check_readable, is_tflite, served_directories

__all__ = ["check_models", "check_readable", "is_tflite", "served_directories"]
