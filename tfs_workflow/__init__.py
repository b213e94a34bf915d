"""From a git address to a served, health-checked TensorFlow Serving model and its predictions."""

__version__ = "0.1.0"
