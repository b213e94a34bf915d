"""Where models come from: one module for each kind of source.

A source gives files, and the server reads a base path. fetch.py does what every source needs, in this order: the
record, the lock, staging, the layout, publishing. Each kind only writes files into a staging directory. Files from
outside are untrusted: names, links and sizes pass through safe_directory.py, whichever kind they come from.
"""
