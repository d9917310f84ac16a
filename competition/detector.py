"""What a Kaggle token looks like, for the search for secrets: .secrets.baseline names this file."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class KaggleTokenDetector(RegexBasedDetector):
    """Finds tokens of Kaggle; a key as in kaggle.json is found as a hexadecimal string."""

    secret_type = "Kaggle Token"  # pragma: allowlist secret
    denylist = (re.compile(r"KGAT_[0-9a-f]{32}"),)
