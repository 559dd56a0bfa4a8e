"""What a technician at the pole wants to know: does each part work, if not why, and what to do next.

Every check uses the real part: the port is opened, each sensor asked, each camera takes a picture, the
models read, the cloud is reached. While the daemon runs it owns the buses and is asked instead, and every
trouble that it knows is a finding here too.
"""

from edged.diagnosis.daemon import Daemon, ask_daemon
from edged.diagnosis.engine import check_at_once, check_parts

__all__ = ["Daemon", "ask_daemon", "check_at_once", "check_parts"]
