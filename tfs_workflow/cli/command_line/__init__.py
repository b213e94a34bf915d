"""Parses a command line into the options of each verb, with help and suggestions."""
