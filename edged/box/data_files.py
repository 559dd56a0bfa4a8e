"""Where sensor profiles and models are looked for: configured path, /etc/edged, installed data, checkout."""

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
_IN_CHECKOUT = {"sensors": _CHECKOUT / "config" / "sensors", "models": _CHECKOUT / "models"}


def folders(kind: str, configured: Path | None = None) -> list[Path]:
    """Return the folders for `kind` ("sensors" or "models") that may exist, in the order to look at them."""
    known = [Path("/etc/edged") / kind, Path(sys.prefix) / "share" / "edged" / kind, _IN_CHECKOUT[kind]]
    return known if configured is None else [configured, *known]
