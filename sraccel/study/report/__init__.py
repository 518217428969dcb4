"""What a study found, as somebody reads it."""
