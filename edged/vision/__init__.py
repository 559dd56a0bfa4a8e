"""Finding and reading plates: pure steps before and after a thin shell around the TFLite runtime."""
