"""Observe what runs, plan as data, execute the plan.

Looking and acting in turns makes a program that can be tested only by its effects, and that decides on what it saw
earlier. So there are three steps: observation.py looks once, plan.py compares and decides as a pure function,
execution.py acts and decides nothing.
"""
