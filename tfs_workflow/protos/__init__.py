"""The few TensorFlow and TensorFlow Serving messages that we exchange, compiled under our own package."""
