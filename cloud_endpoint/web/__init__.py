"""The HTTP side: `app.create_app` builds it, `app.serve` runs it."""
