"""What the server counts: in memory that outlives the process that counts, and as Prometheus' page."""
