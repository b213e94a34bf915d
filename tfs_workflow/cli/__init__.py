"""The command line: the tasks, the code that all verbs share, and one file for each verb."""
