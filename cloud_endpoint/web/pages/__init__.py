"""The pages of drivers and operators, without a framework."""
