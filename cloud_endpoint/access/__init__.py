"""Who may ask: bearer tokens of terminals, operators and poles; signatures of calls in both directions."""
