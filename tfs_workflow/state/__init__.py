"""What the project keeps on disk: the workspace, the project's state and the lock file.

Two things may happen at any moment: another verb of the same project runs, or this process is killed. The lock answers
the first (workspace_lock.py), files that appear whole the second (atomic_file.py). Nothing here needs a repair step:
what a killed run left is either complete, or recognised and removed by the next one.
"""
