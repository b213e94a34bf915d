"""TLS and the bearer token, as a client uses them."""
