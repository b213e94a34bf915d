"""The YAML: read with positions, validated into frozen types, overridden by the environment.

A value passes through these steps: the YAML with the place of each value (yaml_reader.py), overrides of the environment
and the options put in place (environment.py), validation into frozen types (types.py, source_types.py, values.py), and
errors translated back into places (problems.py). Everything after that takes a value of these types and checks nothing
again.
"""
