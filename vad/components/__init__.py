"""What is measured of a frame: the components of its score."""
