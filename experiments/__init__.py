"""Commands beside the pipeline: they look at anything and change nothing."""
