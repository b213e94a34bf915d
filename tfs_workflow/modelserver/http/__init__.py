"""HTTP/1.1: connections, requests and responses, without TensorFlow.

A client decides what it sends, and how slowly. So a connection bounds everything that it holds for a client: the bytes
of the head, the bytes of the body, the requests that wait, and the time that each phase may take. httptools parses;
uvloop reads and writes; the rules between the two are in `http_connection.py`. Its phases have a module and a table of
their own (`phases.py`), since every bound depends on the phase.

TensorFlow Serving routes by the raw target and answers malformed requests with libevent's pages. uvicorn stands on the
same two packages, but needs 1.7 times the processor time. granian passes on a decoded path and answers malformed
requests itself (docs/decisions/0009-http-server.md).

The invariants of a connection: responses leave in the order of their requests; at most one request is in work; at most
one error page is sent, as the last response; a deadline is either in force or infinite, and it is infinite only while
the server itself is at work.
"""
