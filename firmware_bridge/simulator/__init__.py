"""Sensors on a pty: a simulated RS-485 bus that speaks real Modbus RTU bytes at the real baud rate.

Used by tests, demo and bench alike. The devices are made from the same profiles that the bus master reads,
every character takes its time on the wire, and a fault plan makes it as nasty as a pole in the rain.

As a process (what the demo does):

    python -m firmware_bridge.simulator --config sim.toml

    link = "/run/edged-demo/bus0"        # the pty appears under this name (a symlink, atomically replaced)
    control = "/run/edged-demo/bus0.sock" # optional: unix socket that takes commands
    baudrate = 9600
    profiles = ["config/sensors"]         # optional; default: the checkout's or the installed ones
    seed = 1                              # optional; all randomness of the fault plan

    [[device]]
    profile = "ld120"
    id = 1
    occupied = false                      # or a list of channels, for concentrators
    turnaround_ms = 5
    faults = { silent_rate = 0.0 }        # see FaultPlan

    [faults]                              # of the line itself, see LineFaults
    corrupt_byte_rate = 0.0

    [[traffic]]                           # optional script: seconds after start
    at_s = 2.0
    do = "arrive"
    device = 1

Once the pty is there, one line goes to stdout: {"ready": true, "port": "...", "control": "..."}. SIGTERM and
SIGINT end it, and the link is removed.

Commands are JSON objects, one a line, on stdin and on every connection to the control socket. Each is
answered with one line, {"ok": true, ...} or {"ok": false, "error": "..."} (for stdin on stdout):

    {"do": "arrive", "device": 1}                    a vehicle drives in (channel 1 unless "channel" is given)
    {"do": "leave", "device": 1}
    {"do": "swap", "device": 1}                      leaves and another arrives at once: only a counter shows
    it
    {"do": "motorcycle", "device": 1}                a weak, short signal
    {"do": "flap", "device": 1, "times": 5, "period_s": 0.4}
    {"do": "sensor_fault", "device": 1, "cause": "loop open circuit"}    "" mends it
    {"do": "faults", "device": 1, "silent_rate": 1.0}   replaces the device's fault plan; without device: the
    line's
    {"do": "power_cycle", "device": 1}               forgets what the profile says it forgets
    {"do": "unplug", "seconds": 2.0}                 the adapter vanishes, and comes back under the same link
    {"do": "status"}                                 devices, occupied channels, counts of what went over the
    line
    {"do": "stop"}

`send_command(control_path, {...})` is the client for it. In one process: `BusSimulator(...)` below.
"""

from firmware_bridge.simulator.command import send_command
from firmware_bridge.simulator.config import SimulatorSettings, load_simulator_settings
from firmware_bridge.simulator.device import SimulatedDevice
from firmware_bridge.simulator.faults import FaultPlan, LineFaults
from firmware_bridge.simulator.gateway import TcpGateway
from firmware_bridge.simulator.line import SimulatedLine
from firmware_bridge.simulator.pty_bus import BusSimulator
from firmware_bridge.simulator.virtual import VirtualLine

__all__ = [
    "BusSimulator",
    "FaultPlan",
    "LineFaults",
    "SimulatedDevice",
    "SimulatedLine",
    "SimulatorSettings",
    "TcpGateway",
    "VirtualLine",
    "load_simulator_settings",
    "send_command",
]
