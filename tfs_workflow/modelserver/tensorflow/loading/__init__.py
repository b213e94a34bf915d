"""Brings a version's graph into a TensorFlow session: through TensorFlow's own loader, or a large one by names."""
