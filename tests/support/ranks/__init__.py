"""Processes that make one video together, started by torchrun on the CPU."""
