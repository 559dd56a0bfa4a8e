"""Where sensor profiles and models are looked for: configured path, /etc/edged, installed data, checkout."""

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]
_IN_CHECKOUT = {"sensors": _CHECKOUT / "config" / "sensors", "models": _CHECKOUT / "models"}


def folders(kind: str, configured: Path | None = None) -> list[Path]:
    """Return the existing folders for `kind` ("sensors" or "models"), the first to be looked at first."""
    candidates = [
        configured,
        Path("/etc/edged") / kind,
        Path(sys.prefix) / "share" / "edged" / kind,
        _IN_CHECKOUT[kind],
    ]
    return [folder for folder in candidates if folder is not None and folder.is_dir()]
