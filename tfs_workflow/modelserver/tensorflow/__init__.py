"""TensorFlow's C library: sessions and tensors.

TensorFlow's Python API takes seconds to import and computes in Python between its calls. Its C API needs one shared
library, and cffi releases the interpreter's lock for every call (capi.h).
"""
