"""Sites and berths, how they change, and what is published of them as curb data."""
