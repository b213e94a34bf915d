"""File and wire formats that the tool and the embedded server share.

Facts about formats that client, checks and server share, each stated once: a table of types, a codec of tensors, status
codes, the layout of a SavedModel. The modules depend on nothing of this package but its errors and messages.
"""
