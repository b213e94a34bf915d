"""A server of several processes: a parent, an engine that runs TensorFlow, and fronts that hold the connections.

A kernel of TensorFlow can end its process, and one interpreter bounds how many requests a process answers. So
TensorFlow has a process of its own: its end costs the request that it ran, and the connections stay. The parent is
small and only watches: it binds the sockets, starts the others, replaces one that has ended, and passes on the end.

The engine is started anew (exec), with none of the sockets of clients. The fronts are forked from the parent, which has
a single thread and little memory, and share the listening sockets. Neither outlives the parent: the kernel kills them
with it (PDEATHSIG), and the end of their control socket tells the same where the kernel does not.
"""
