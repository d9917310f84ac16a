"""What is measured of a frame: the parts that a score is made of."""
