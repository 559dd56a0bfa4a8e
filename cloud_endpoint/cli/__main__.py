"""`python -m cloud_endpoint.cli`."""

from cloud_endpoint.cli import main

main()
