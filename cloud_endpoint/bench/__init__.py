"""Figures of the cloud endpoint: `python -m cloud_endpoint.bench cloud | trust`."""
