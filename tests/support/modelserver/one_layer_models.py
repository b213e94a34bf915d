"""Exports models of one Keras layer each, for a survey of which shapes TensorFlow's kernels survive.

Run as a script, it writes a base path for each layer below the directory that it is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def export_models(directory: Path) -> dict[str, Path]:
    """Base path by name of the layer; TensorFlow runs in a process of its own."""
    subprocess.run([sys.executable, __file__, str(directory)], check=True, capture_output=True)
    return {path.name: path for path in sorted(directory.iterdir())}


def _export(directory: Path) -> None:
    import keras  # noqa: PLC0415  # seconds, and only in the script's own process

    layers = keras.layers
    flat, rows, image, volume = (4,), (8, 2), (8, 8, 2), (4, 4, 4, 2)
    made = {
        "conv1d": (rows, layers.Conv1D(3, 3)),
        "conv2d": (image, layers.Conv2D(3, 3)),
        "conv3d": (volume, layers.Conv3D(3, 3)),
        "depthwise1d": (rows, layers.DepthwiseConv1D(3)),
        "depthwise2d": (image, layers.DepthwiseConv2D(3)),
        "separable2d": (image, layers.SeparableConv2D(3, 3)),
        "transpose1d": (rows, layers.Conv1DTranspose(3, 3)),
        "transpose2d": (image, layers.Conv2DTranspose(3, 3)),
        "maxpool1d": (rows, layers.MaxPooling1D(2)),
        "maxpool2d": (image, layers.MaxPooling2D(2)),
        "maxpool3d": (volume, layers.MaxPooling3D(2)),
        "avgpool2d": (image, layers.AveragePooling2D(2)),
        "avgpool3d": (volume, layers.AveragePooling3D(2)),
        "batchnorm": (image, layers.BatchNormalization()),
        "layernorm": (flat, layers.LayerNormalization()),
        "groupnorm": (image, layers.GroupNormalization(2)),
        "lstm": (rows, layers.LSTM(3)),
        "gru": (rows, layers.GRU(3)),
        "dense": (flat, layers.Dense(3)),
        "upsample": (image, layers.UpSampling2D(interpolation="bilinear")),
        "softmax": (flat, layers.Softmax()),
    }
    for name, (shape, layer) in made.items():
        inputs = keras.Input(shape, name="x")
        keras.Model(inputs, layer(inputs)).export(directory / name / "1", verbose=False)


if __name__ == "__main__":
    _export(Path(sys.argv[1]))
