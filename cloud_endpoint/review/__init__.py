"""What a person decides, and the page where it is decided."""
