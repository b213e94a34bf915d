"""Predictions for many rows of files and images: streamed, resumable, with rejected rows set aside."""
