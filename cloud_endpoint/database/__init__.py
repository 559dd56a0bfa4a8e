"""The database and nothing of what it is for: engine, tables, schema versions."""
