"""Predictions for many rows: out of files and images, streamed, resumed, with refused rows set aside."""
