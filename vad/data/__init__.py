"""From the data source to clips, labels and the submission."""
