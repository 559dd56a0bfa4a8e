"""The daemon's threads: buses -> berths -> captures -> readings -> store, beside uplink, HTTP and upkeep.

Each is a `supervisor.Worker`. They share three things: the `Board` (how the berths stand), the
`HealthBook` (what is wrong) and bounded queues, whose drops are counted.
"""
