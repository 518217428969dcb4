"""Noise spaces: what a denoiser's timesteps, noisy latents and predictions mean.

In: a scheduler, a VAE's configuration, and the tensors of a call. Out: signal and noise levels, and
the exact conversion between two denoisers whose scale, schedule or prediction type differ.

Others use: `change_of_variables`, `flow_shift`, `space`.
"""
