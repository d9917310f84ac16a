"""The corruption of frames: made, found and repaired."""
