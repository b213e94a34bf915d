"""Who may ask: TLS and the bearer token, as the flags name their files."""
