"""Checks of one model's files: versions, signatures, operations and warm-up records.

preflight.py is what setup and serve require, and raises. model_checks.py reports everything to doctor, and reuses those
functions, so that both agree.
"""
