"""Frame-level video anomaly detection: the library behind the stages. Importing it loads nothing heavy."""


class VadError(Exception):
    """A problem that the user can mend: one line that names the file or key, what is wrong, and the remedy."""

    def __str__(self) -> str:
        """The text; what can't be printed is escaped: names and contents of somebody's files are quoted in it."""
        return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in super().__str__())
