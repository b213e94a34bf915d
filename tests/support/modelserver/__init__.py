"""Embedded servers of the tests, graphs for them, and bytes to throw at them."""
