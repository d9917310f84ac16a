"""Git and DVC of this folder, its revisions, its clones for data sets, and how its processes end."""
