"""`python -m firmware_bridge.bench`: how near the wire's limit the bus runs, and what can deceive it."""
