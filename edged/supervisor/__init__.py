"""The workers' threads: started in order, watched, stopped within a bound; and what systemd hears of it."""

from edged.supervisor.systemd import SystemdNotifier
from edged.supervisor.threads import Patience, Supervisor, Worker

__all__ = ["Patience", "Supervisor", "SystemdNotifier", "Worker"]
