"""The range of float32, without numpy: the commonest requests are read and printed without it, in a front."""

SMALLEST_NORMAL_FLOAT = 2.0**-126
FLOAT32_MAX = (2 - 2.0**-23) * 2.0**127
