"""The checkout itself: Git, DVC, its revisions and its clones for data sets."""
