"""The range of float32, apart from numpy: the commonest requests are read and printed without it."""

SMALLEST_NORMAL_FLOAT = 1.1754943508222875e-38
FLOAT32_MAX = 3.4028234663852886e38
