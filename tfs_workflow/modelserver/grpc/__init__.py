"""gRPC over HTTP/2: connections and frames, without TensorFlow.

libnghttp2 (ngh2) speaks HTTP/2 and does no input or output itself; a connection passes bytes in, takes events out, and
writes what the library queued. gRPC adds little to HTTP/2: a five-byte prefix before a message, a timeout header, and a
status in the trailers. grpcio's own server takes three times the processor time of a REST request for an empty answer,
whichever of its thread models runs (docs/decisions/0014-grpc-on-ngh2.md).

Calls of one connection are independent: they are answered as they finish. So a connection has sets of streams where the
HTTP/1.1 connection has one phase.
"""
