"""TensorFlow's C library: sessions and tensors."""
