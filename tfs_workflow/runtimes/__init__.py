"""What runs a model server: a container or a local process.

Three runtimes differ in nearly everything: a container has an image, labels and an engine that may be elsewhere; a
process has a binary, an environment and this machine. The workflows see one Protocol (base.py) and one description of
the server (spec.py). What differs between the kinds stands in a table of facts (kinds.py), so that adding a runtime
needs no change in a workflow.
"""
