"""Pure rules of the project: standard library only, time and randomness are arguments."""
