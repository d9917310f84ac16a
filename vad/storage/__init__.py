"""Files that appear whole, tables keyed by frame, archives, progress."""
