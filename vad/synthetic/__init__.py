"""Scenes and events made here: the built-in sample and the validation clips."""
