"""`python -m firmware_bridge.simulator --config sim.toml [--stdin]`: one simulated bus until SIGTERM."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from firmware_bridge.errors import BridgeError
from firmware_bridge.simulator.config import load_simulator_settings
from firmware_bridge.simulator.pty_bus import BusSimulator


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="firmware_bridge.simulator", description="Simulated RS-485 sensors on a pty."
    )
    parser.add_argument("--config", type=Path, required=True, help="sim.toml")
    parser.add_argument(
        "--stdin", action="store_true", help="take commands on stdin too; its end ends the simulator"
    )
    arguments = parser.parse_args()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        settings = load_simulator_settings(arguments.config)
    except BridgeError as exc:
        print(exc, file=sys.stderr)
        return 2
    simulator = BusSimulator(
        settings.devices,
        link=settings.link,
        timing=settings.timing,
        seed=settings.seed,
        faults=settings.faults,
        traffic=settings.traffic,
        control=settings.control,
        stdin=sys.stdin.buffer if arguments.stdin else None,
        on_ready=lambda: _say_ready(settings.link, settings.control),
    )
    simulator.run(stop)
    return 0


def _say_ready(link: Path, control: Path | None) -> None:
    print(json.dumps({"ready": True, "port": str(link), "control": control and str(control)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
