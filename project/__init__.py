"""The checkout itself: Git, DVC, its revisions, its clones for data sets, and how a process in it ends."""
