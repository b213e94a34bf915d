"""The embedded model server under load: `python -m benchmarks.modelserver` compares it with others."""
