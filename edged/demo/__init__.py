"""The demo: a pole, a street and a city's cloud on one box, nothing mocked.

`python -m edged.demo` starts simulated sensors, a simulated camera, the cloud endpoint and the daemon as
separate processes, lets cars drive in and drivers order, and checks every outcome. Nothing here is
imported by the daemon.
"""
