"""What the server counts, under the names, labels and buckets of TensorFlow Serving 2.20."""
