"""What is done with a completed matrix: look-ups, new rows, uncertainty, validation."""
