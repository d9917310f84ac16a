"""Frame-level video anomaly detection: the library behind the stages. Importing it loads nothing heavy."""


class VadError(Exception):
    """A problem that the user can mend: one line that names the file or key, what is wrong, and the remedy."""
