"""The command line: the tasks, what every verb shares, and one file for each verb."""
