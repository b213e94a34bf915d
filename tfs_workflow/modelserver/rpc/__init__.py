"""The gRPC services: messages in, messages out.

grpc_service.py maps paths to handlers and counts; messages.py translates; request_template.py is the fast candidate.
None of them depends on HTTP/2, so that grpcio's server could stand in for ours (docs/decisions/0014-grpc-on-ngh2.md).
"""
