"""From the components of a frame to its anomaly score."""
