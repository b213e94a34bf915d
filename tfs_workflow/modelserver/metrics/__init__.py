"""What the server counts, under TensorFlow Serving's names, in memory that outlives the process that counts."""
