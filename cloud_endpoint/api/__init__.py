"""The HTTP API: `app.create_app` builds it, `app.serve` runs it."""
