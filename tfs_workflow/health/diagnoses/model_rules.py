"""Diagnoses of models: base paths, versions, SavedModels and their files."""

from tfs_workflow.formats.model_kinds import DROPPED_FIX, DROPPED_KERNELS, LIBRARIES_FIX
from tfs_workflow.health.diagnoses.rule import Row

EXPORT_AGAIN = "export the model again, or fetch it again: invoke setup --update"
NEWER_SERVER = "use a server (server.image) at least as new as the TensorFlow that exported the model"

MODELS = (
    Row(
        "scheme-unknown",
        "a base path is on a storage that this server cannot read, such as s3:// since release 2.7",
        "fetch the model with a source of the YAML, and serve it from this machine",
        log=r"File system scheme '.*' not implemented",
        hopeless=True,
        issues=(1963,),
    ),
    Row(
        "base-path-missing",
        "the server cannot find a model's base path",
        "check the model's source and path, then: invoke setup",
        log=r"Could not find base path .* for servable",
        hopeless=True,
    ),
    Row(
        "version-missing",
        "a version that the YAML names is not in the base path",
        "name versions that exist, or export this one",
        log=r"Version \d+ of servable .* was requested to be served as a 'specific' version .* was not found",
        hopeless=True,
    ),
    Row(
        "no-version",
        "the base path holds no version directory",
        "a base path needs numeric version directories such as 1/ or 00000123/, each with a saved_model.pb",
        log=r"No versions of servable .* found under base path",
        hopeless=True,
        issues=(266, 1250, 1419, 1831),
    ),
    Row(
        "warmup-unreadable",
        "the model's warm-up file is not in TFRecord format, or damaged",
        "write assets.extra/tf_serving_warmup_requests again, or set server.flags: {enable_model_warmup: false}",
        log=r"Please verify your warmup data is in TFRecord format|Failed to parse warmup record",
        issues=(1414,),
    ),
    Row(
        "warmup-too-long",
        "the model's warm-up file holds more than 1000 records",
        "keep at most 1000 records in assets.extra/tf_serving_warmup_requests",
        log=r"Number of warmup records exceeds the maximum",
    ),
    Row(
        "label-unavailable",
        "a label names a version that is not loaded",
        "give the label a version that `versions` serves, or set "
        "server.flags: {allow_version_labels_for_unavailable_models: true}",
        log=r"Request to assign label to version",
        issues=(1413, 1608),
    ),
    Row(
        "saved-model-missing",
        "a version directory holds no saved_model.pb",
        f"each version directory must hold saved_model.pb: {EXPORT_AGAIN}",
        log=r"does not appear to contain a SavedModel bundle|Could not find SavedModel \.pb or \.pbtxt",
    ),
    Row(
        "saved-model-corrupt",
        "saved_model.pb is not a SavedModel: cut off, or another file",
        EXPORT_AGAIN,
        log=r"Can't parse .*saved_model\.pb(txt)? as (binary|text) proto",
    ),
    Row(
        "tags-missing",
        "the SavedModel has no graph with the requested tags; an empty file has no graph at all",
        "export it with the tag `serve`, or name its tags: server.flags: {saved_model_tags: …}",
        log=r"Could not find meta graph def matching supplied tags",
    ),
    Row(
        "op-unknown",
        "the model needs an operation that this server does not have",
        f"{LIBRARIES_FIX}; for TensorFlow's own, {NEWER_SERVER}",
        log=r"Op type not registered",
        issues=(1155, 2267),
    ),
    Row(
        "op-differs",
        "an operation of the model differs in this server: another TensorFlow version exported the model",
        NEWER_SERVER,
        log=r"NodeDef (missing attrs?|mentions attrs?|expected inputs) |No attr named .* in NodeDef",
    ),
    Row(
        "kernel-dropped",
        "TensorFlow dropped the kernels of this operation in 2.9",
        DROPPED_FIX,
        log=f"No OpKernel was registered to support Op '{DROPPED_KERNELS}'",
    ),
    Row(
        "kernel-missing",
        "an operation of the model cannot be computed on this server's devices",
        "export the model for this kind of device, or use the image for the other (-gpu)",
        log=r"No OpKernel was registered to support Op",
    ),
    Row(
        "device-missing",
        "the model requires a device that this server does not have, most often a GPU",
        "export it without fixed devices (clear_devices), or use a -gpu image with a GPU",
        log=r"Cannot assign a device for operation",
        issues=(1768,),
    ),
    Row(
        "graph-too-new",
        "the model was written for a later TensorFlow than the server's",
        NEWER_SERVER,
        log=r"GraphDef min consumer version \d+ above current version",
    ),
    Row(
        "variables-missing",
        "files of the model's variables are missing",
        f"variables/ must hold variables.index and every data file: {EXPORT_AGAIN}",
        log=r"variables/variables\S*; No such file|Unsuccessful TensorSliceReader constructor",
    ),
    Row(
        "variables-cut",
        "the data file of the model's variables is cut off",
        EXPORT_AGAIN,
        log=r"Read less bytes than requested",
    ),
    Row(
        "variables-index-corrupt",
        "variables.index is cut off, or another file",
        EXPORT_AGAIN,
        log=r"DATA_LOSS: (file is too short to be an sstable|not an sstable)",
    ),
    Row(
        "variables-corrupt",
        "the data of the model's variables is damaged",
        EXPORT_AGAIN,
        log=r"TensorBundle at .*Checksum does not match",
    ),
    Row(
        "variables-foreign",
        "the model's variables are those of another model or another export",
        f"keep saved_model.pb and variables/ of one export together: {EXPORT_AGAIN}",
        log=r"Key .* not found in checkpoint|Tensor name .* not found in checkpoint files",
    ),
    Row(
        "asset-missing",
        "a file of the model's assets, such as a vocabulary, is missing",
        f"the version directory must hold assets/: {EXPORT_AGAIN}",
        log=r"assets/\S+; No such file",
    ),
    Row(
        "disk-full",
        "the model writes files while it loads, and there is no space left for them",
        "free space, or let the model write less; a container has 256 MB in /tmp and 64 MB in /dev/shm",
        log=r"No space left on device",
    ),
    Row(
        "read-only",
        "the model writes a file while it loads, to a read-only place of the container",
        "let the model write to /tmp, or not at all",
        log=r"Read-only file system",
    ),
    Row(
        "unreadable",
        "the server may not read the model's files",
        "make them readable: chmod -R a+rX on the model's directory",
        log=r"; Permission denied",
        hopeless=True,
        issues=(1748,),
    ),
    Row(
        "allocation-failed",
        "a tensor of the model is larger than the available memory",
        "serve a smaller model, or use a machine with more memory",
        log=r"OOM when allocating tensor",
        issues=(693, 2066),
    ),
    Row(
        "batching-refused",
        "the batching parameters contradict each other",
        "allowed_batch_sizes must increase and end in max_batch_size; numbers must be positive: see server.batching",
        log=r"allowed_batch_sizes|(num_batch_threads|input_batch_size_limit|max_enqueued_batches) must be positive"
        r"|batch_timeout_micros must be non-negative",
    ),
    Row(
        "start-up-failed",
        "a computation that the model runs while it loads fails",
        "see the line for the computation; try the model with TensorFlow's saved_model_cli, and export it again",
        # A failed prediction logs its node as well.
        log=r"(Loading servable: .* failed|due to error): .*\[\[.+\]\]",
        status=r"\[\[.+\]\]",
    ),
    Row(
        "warmup-failed",
        "the model rejects a request of its warm-up file",
        "record the warm-up requests of this model again, or set server.flags: {enable_model_warmup: false}",
        log=r"Starting to read warmup data for model at (\S+)",
        unless=r"Finished reading warmup data for model at WHAT",
        issues=(1414,),
    ),
    Row(
        "unloaded",
        "the version was unloaded: its directory is gone, or newer versions took its place",
        "set `versions` to the versions to serve, then: invoke serve",
        status=r"^OK: ",
    ),
)
