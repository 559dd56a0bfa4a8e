"""What every part of the service works with: errors, time, ids, logs, settings, one running process."""
