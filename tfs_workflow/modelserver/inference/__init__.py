"""From a request's tensors to its results: signatures, batches, threads and the event loop."""
