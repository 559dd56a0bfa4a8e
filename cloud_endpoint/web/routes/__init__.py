"""The JSON API's routes, by caller."""
