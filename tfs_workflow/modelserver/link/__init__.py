"""What fronts and the engine send each other over Unix sockets (docs/modelserver-protocol.md).

Each front has two connections to the engine: one for small messages, and one for those with large bodies, behind which
the small ones would wait. Both ends are processes of one server, started with the same interpreter. So messages are
tuples in Python's own marshal format, the fastest that there is: a batch of them is written and read by one call in C,
0.1 microseconds a message. Whoever can write to these sockets is the server itself: they have no name and are handed to
children only.
"""
