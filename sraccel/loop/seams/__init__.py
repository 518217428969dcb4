"""Seams: where sraccel meets code that is not its own - denoiser calls, block stacks, pipelines."""
