"""The sizes by which the lane of a request is chosen, in one place."""

# A request of at most this many bytes may take the way for small requests.
SMALL_REQUEST_BYTES = 2048
