"""What the box gives to every room: its clocks, its log, its metrics, and where its data files lie."""
