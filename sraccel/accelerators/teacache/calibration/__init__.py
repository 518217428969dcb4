"""Fitting TeaCache's coefficients for a model, and the file that keeps them."""
