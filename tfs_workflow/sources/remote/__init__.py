"""Models that come over HTTP: downloads, object stores and the Hugging Face Hub."""
