"""What is done without a request: due orders, pulls, pictures, webhooks."""
