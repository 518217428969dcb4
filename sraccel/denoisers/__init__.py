"""Denoiser adapters, one file a model family."""
