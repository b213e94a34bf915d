"""Sources that are reached over a network: git, archives, object stores and the Hugging Face Hub."""
