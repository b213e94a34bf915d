"""Figures of a checkout, so that a change of its structure can be measured."""
