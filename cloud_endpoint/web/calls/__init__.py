"""What each caller may ask of the service: poles, terminals, operators. One transaction per step."""
