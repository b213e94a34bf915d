"""The gRPC methods of TensorFlow Serving by path, with our own messages; used by the client and by the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfs_workflow.protos import health_pb2
from tfs_workflow.protos import serving_apis_pb2 as apis

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
HEALTH_SERVICE = "grpc.health.v1.Health"


@dataclass(frozen=True)
class Method:
    """One unary method: its service, its name and the classes of its messages."""

    service: str
    name: str
    request: Any
    response: Any

    @property
    def path(self) -> str:
        """The path that goes over the wire."""
        return f"/{self.service}/{self.name}"


PREDICT = Method(PREDICTION_SERVICE, "Predict", apis.PredictRequest, apis.PredictResponse)
CLASSIFY = Method(PREDICTION_SERVICE, "Classify", apis.ClassificationRequest, apis.ClassificationResponse)
REGRESS = Method(PREDICTION_SERVICE, "Regress", apis.RegressionRequest, apis.RegressionResponse)
MULTI_INFERENCE = Method(PREDICTION_SERVICE, "MultiInference", apis.MultiInferenceRequest, apis.MultiInferenceResponse)
GET_MODEL_METADATA = Method(
    PREDICTION_SERVICE, "GetModelMetadata", apis.GetModelMetadataRequest, apis.GetModelMetadataResponse
)
GET_MODEL_STATUS = Method(MODEL_SERVICE, "GetModelStatus", apis.GetModelStatusRequest, apis.GetModelStatusResponse)
RELOAD_CONFIG = Method(MODEL_SERVICE, "HandleReloadConfigRequest", apis.ReloadConfigRequest, apis.ReloadConfigResponse)
HEALTH_CHECK = Method(HEALTH_SERVICE, "Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)
HEALTH_WATCH = Method(HEALTH_SERVICE, "Watch", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)
