"""What can be said of a recipe, and of a model under it, before anything runs."""
