#!/bin/sh
# The contract of tensorflow/serving's entry script; unlike it, this one hands its process over to the server.
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
  --model_name="${MODEL_NAME}" --model_base_path="${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"
