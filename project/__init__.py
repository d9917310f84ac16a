"""Git and DVC of this folder, its revisions, its clones for data sets, launchers, and how its processes end."""
