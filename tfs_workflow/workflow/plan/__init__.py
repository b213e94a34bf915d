"""Observe what runs, plan as data, execute the plan."""
