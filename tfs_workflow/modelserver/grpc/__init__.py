"""gRPC over HTTP/2: connections and frames, without TensorFlow."""
