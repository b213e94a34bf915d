"""JSON as TensorFlow Serving reads and writes it.

TensorFlow Serving reads JSON with RapidJSON and prints numbers by rules of its own. Three things differ from orjson's
JSON, and clients notice each: error texts with byte offsets, NaN and Infinity as bare words, and how many digits a
float has. The modules here have no state and do not depend on models: bytes to values (json_parser.py), values to
arrays (json_tensors.py) with what is wrong in them (json_errors.py), and values to text (json_writer.py).
"""
