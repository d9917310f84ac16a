"""What was done to a frame: the corruption, how it is found and repaired."""
